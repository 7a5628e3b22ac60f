"""The databases in which Flask-Session's table is tested, and the other places of old sessions."""

from __future__ import annotations

from collections.abc import Callable

import pytest

SERVERS = ("postgresql", "mariadb")
DATABASES = ("sqlite", *SERVERS)

# Where an application's old sessions are in most tests, and in those that gain by real servers.
KINDS = ("redis", "signed", "sqlite", "files", "cookie")
on_all_databases = pytest.mark.parametrize("kind", [*KINDS, *SERVERS], indirect=True)

DatabaseUrl = Callable[[str], str]
