"""URLs that name no engine, or not as it is named."""

from __future__ import annotations

import subprocess
import sys

from tests.docs.bad_input import Ground, Row, code, row

from moored import State

# What is in the table's second column, too.
URLS = {
    "url-no-scheme": "/var/lib/shop.db",
    "url-host-and-port": "localhost:6379",
    "url-address-and-port": "127.0.0.1:6379/0",
    "url-planned-scheme": "postgresql://localhost/shop",
    "url-unknown-scheme": "etcd://localhost/shop",
    "url-misspelt-scheme": "sqlit:///shop.db",
    "url-bad-port": "redis://localhost:port/0",
    "url-port-too-large": "redis://localhost:99999/0",
    "url-bad-ipv6": "redis://[::1/0",
    "url-password-with-slash": "redis://:pass/word@localhost/0",
    "url-password-with-question-mark": "redis://:123?45@localhost/0",
    "url-password-without-slashes": "redis:user:pass@localhost/0",
    "url-password-one-slash": "redis:/user:pass@localhost/0",
    "url-password-three-slashes": "redis:///:pass@localhost/0",
    "url-fragment": "sqlite:///shop#1.db",
    "url-sqlite-without-file": "sqlite:",
    "url-sqlite-host": "sqlite://shop.db",
    "url-sqlite-memory": "sqlite:///:memory:",
    "url-memory-place": "memory:shop",
    "url-redis-database": "redis://localhost/shop",
    "url-unix-without-path": "unix:",
    "option-unknown": "memory:?colour=red",
    "option-misspelt": "sqlite:///shop.db?synchronus=full",
    "option-of-another-engine": "sqlite:///shop.db?wait=1",
    "option-twice": "sqlite:///shop.db?deadline=1&deadline=2",
    "option-not-a-number": "sqlite:///shop.db?deadline=soon",
    "option-zero": "sqlite:///shop.db?deadline=0",
    "option-empty": "sqlite:///shop.db?deadline=",
    "option-not-one-of": "sqlite:///shop.db?synchronous=off",
    "option-value-misspelt": "sqlite:///shop.db?synchronous=ful",
    "option-negative": "redis://localhost?wait=-1",
    "option-not-whole": "redis://localhost?db=first",
    "option-no-connections": "redis://localhost?max_connections=0",
    "option-protocol": "redis://localhost?protocol=4",
    "option-no-file": "rediss://localhost?ssl_ca_certs=/etc/nothing.pem",
    "option-tls-without-tls": "redis://localhost?ssl_check_hostname=true",
    "option-evicting": "redis://localhost?evicting=yes",
}


def _tried(url: str) -> Row:
    return lambda ground: ground.refusal(lambda: State(url))


for _id, _url in URLS.items():
    row(_id)(_tried(_url))


@row("option-beside-the-url")
def _(ground: Ground) -> str:
    return ground.refusal(lambda: State("sqlite:///shop.db?deadline=1", deadline=2))


@row("driver-missing")
def _(ground: Ground) -> str:
    # None in sys.modules is how Python is told that there is no such package.
    program = "import sys; sys.modules['redis'] = None; import moored; moored.State('redis://localhost')"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    name, _, message = ended.stderr.splitlines()[-1].partition(": ")
    return code(f"{name.rpartition('.')[2]}: {message}")
