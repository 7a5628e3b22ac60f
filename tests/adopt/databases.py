"""The databases in which Flask-Session's table is tested, and the other places of old sessions."""

from __future__ import annotations

from collections.abc import Callable

DATABASES = ("sqlite", "postgresql", "mariadb")

# Where an application's old sessions are in most tests, and in those that gain by real servers.
KINDS = ("redis", "signed", "sqlite", "files", "cookie")
ALL_KINDS = (*KINDS, *DATABASES[1:])

DatabaseUrl = Callable[[str], str]
