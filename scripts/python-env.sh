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
    if [ -e "$venv/ca-certificates.pem" ] && [ -z "${PIP_CERT:-}" ]; then
        export PIP_CERT="$venv/ca-certificates.pem"
    fi
    "$python" -m pip install -q --disable-pip-version-check --no-input -e "${root}[$extras]" ||
        fail "pip could not install it (see above). If the network was at fault, run this again."
    wanted >"$venv/.ready"
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
    say "this Python has no ensurepip: fetching pip's wheel"
    fetched=$venv/fetched
    rm -rf "$fetched"
    mkdir -p "$fetched" || fail "could not write to $venv"
    pip_by_pip || pip_by_apt ||
        fail "no pip could be had (see above). As root: apt-get install python3-venv; then run this again."
    "$python" "$wheel/pip" install -q --disable-pip-version-check --no-index "$wheel" ||
        fail "could not install $wheel"
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
        cat "$fetched/apt.log" >&2
        return 1
    }
    for package in "$fetched"/*.deb; do
        dpkg-deb -x "$package" "$fetched/files" || return 1
    done
    # Debian's pip trusts the system's certificates, which a bare machine lacks.
    if [ ! -e /etc/ssl/certs/ca-certificates.crt ]; then
        cat "$fetched"/files/usr/share/ca-certificates/mozilla/*.crt >"$venv/ca-certificates.pem"
    fi
    find_wheel "$fetched/files/usr/share/python-wheels"
}

apt_download() { apt_get download python3-pip-whl ca-certificates; }

apt_get() {
    if [ -d "$fetched/state" ]; then
        set -- -o "Dir::State=$fetched/state" -o "Dir::Cache=$fetched/cache" "$@"
    fi
    (cd "$fetched" && apt-get -q -o Acquire::Languages=none -o APT::Sandbox::User=root "$@") \
        >"$fetched/apt.log" 2>&1
}

find_wheel() {
    for wheel in "$1"/pip-*.whl; do
        [ -e "$wheel" ] && return
    done
    return 1
}
