# Sourced by the commands beside it; POSIX sh.
#
#     python_env FOLDER EXTRAS
#
# makes sure that $root/FOLDER is a virtual environment in which this clone is installed
# (editable) with those extras, and sets $python to its interpreter.  It needs Python 3.11
# and no root.  Debian's and Ubuntu's python3 comes without pip and without ensurepip
# (both are in python3-venv): pip is then taken out of their package python3-pip-whl,
# which any user may download.

root=$(cd "$(dirname "$0")/.." && pwd) || exit 1

say() { printf '%s\n' "scripts/${0##*/}: $*" >&2; }

fail() {
    say "$@"
    exit 1
}

python_env() {
    venv=$root/$1
    extras=$2
    python=$venv/bin/python
    if [ "$(cat "$venv/.ready" 2>/dev/null)" = "$(wanted)" ]; then
        return
    fi
    if ! python_works "$python" || moved; then
        find_python
        say "making $1 with $("$system_python" -V)"
        "$system_python" -m venv --without-pip --clear "$venv" || fail "could not make $venv"
        echo '*' >"$venv/.gitignore"
    fi
    "$python" -m pip --version >/dev/null 2>&1 || add_pip
    say "installing Moored [$extras] into $1 (the first time this takes a minute or two)"
    pip_install -e "${root}[$extras]"
    wanted >"$venv/.ready"
}

pip_install() {
    "$python" -m pip install -q --disable-pip-version-check --no-input "$@" ||
        fail "pip could not install $* (see above). If the network was at fault, run this again."
}

# What .ready must say: where the environment is, its Python, and what was installed.
wanted() {
    place
    echo "$extras $(cksum <"$root/pyproject.toml")"
}

place() { "$python" -c 'import sys; print(sys.prefix, "%d.%d" % sys.version_info[:2])' 2>/dev/null; }

# Made elsewhere (its scripts name the old folder) or for another Python?
moved() { [ -e "$venv/.ready" ] && [ "$(head -n 1 "$venv/.ready")" != "$(place)" ]; }

python_works() {
    "$1" -c 'import sys, sqlite3, ssl, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for system_python in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}; do
        python_works "$system_python" && return
    done
    fail "${PYTHON:-Python 3.11 or newer} was not found, or lacks sqlite3, ssl or venv." \
        "Install it (as root: apt-get install python3) or name one: PYTHON=/path/to/python scripts/${0##*/}"
}

add_pip() {
    "$python" -m ensurepip >/dev/null 2>&1 && return
    say "this Python brings no pip: fetching a wheel of it"
    fetched=$venv/fetched
    rm -rf "$fetched"
    mkdir -p "$fetched" || fail "could not write to $venv"
    pip_by_pip || pip_by_apt ||
        fail "no pip could be had (see above). As root: apt-get install python3-venv; then run this again."
    packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "$python" -m zipfile -e "$wheel" "$packages" || fail "could not unpack $wheel"
    # Debian's pip trusts only the system's certificates.  Where there are none, let it trust the
    # list that is in its wheel; the pip that it installs next does so by itself.
    certificates=/etc/ssl/certs/ca-certificates.crt
    [ -e $certificates ] ||
        sed -i "s|$certificates|$packages/pip/_vendor/certifi/cacert.pem|" "$packages/pip/_vendor/certifi/core.py"
    pip_install --upgrade pip
    rm -rf "$fetched"
}

pip_by_pip() {
    find_python
    "$system_python" -m pip download -q --disable-pip-version-check --no-deps -d "$fetched" pip \
        >/dev/null 2>&1 && find_wheel "$fetched"
}

pip_by_apt() {
    apt_download || {
        # No package lists, or old ones: read them into a folder of our own.
        mkdir -p "$fetched/state/lists/partial" "$fetched/cache/archives/partial"
        apt_get update && apt_download
    } || {
        grep '^[EW]:' "$fetched/apt.log" >&2
        return 1
    }
    dpkg-deb -x "$fetched"/python3-pip-whl_*.deb "$fetched/files" && find_wheel "$fetched/files/usr/share/python-wheels"
}

apt_download() { apt_get download python3-pip-whl; }

apt_get() {
    if [ -d "$fetched/state" ]; then
        set -- -o "Dir::State=$fetched/state" -o "Dir::Cache=$fetched/cache" "$@"
    fi
    (cd "$fetched" && apt-get -q -o Acquire::Languages=none -o APT::Sandbox::User=root "$@") \
        >>"$fetched/apt.log" 2>&1
}

find_wheel() {
    for wheel in "$1"/pip-*.whl; do
        [ -e "$wheel" ] && return
    done
    return 1
}
