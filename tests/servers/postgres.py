"""A real PostgreSQL server for tests; ``moored.testing.process`` says when servers end."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from moored.testing.process import HOST, ServerProcess, find_program

_USER = "moored"
_DATABASE = "postgres"

_CLOSE = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)

# A new database takes a good deal longer: it has hundreds of files.
_CLEAR = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', name);
    END LOOP;
END $$;
CREATE SCHEMA public
"""

_OPTIONS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    # What makes tests quick.  Nothing here outlives a crash of the machine, nor is it meant to.
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "jit": "off",
    "shared_buffers": "16MB",
}


class PostgresServer(ServerProcess):
    """A real ``postgres``, started and ended by a ``with`` block.

    ``args`` are further options of the server (``"-c", "fsync=on"``), which outweigh those
    that make it quick: nothing is synchronised to disk unless they say so.  What was committed
    survives ``kill`` all the same.  Its one user is a superuser with a random password.
    """

    PROGRAM = "postgres"
    END = signal.SIGINT  # the "fast" shutdown: SIGTERM waits until the clients have gone
    # The "immediate" shutdown, which saves nothing: the next start recovers as after a crash.  After
    # a SIGKILL its children might still be there then.
    CRASH = signal.SIGQUIT
    ACCOUNTS = ("postgres", "nobody")

    def __init__(self, *args: str, port: int | None = None) -> None:
        super().__init__(port)
        self._args = args
        self._password = secrets.token_urlsafe(16)

    @property
    def url(self) -> str:
        """The URL of its database, with the user and the password."""
        return f"postgresql://{_USER}:{self._password}@{HOST}:{self.port}/{_DATABASE}"

    def clear(self) -> None:
        """Close all connections to the database and remove what is in it."""
        self.close_connections()
        self.sql(_CLEAR)

    def close_connections(self) -> None:
        """Close all connections to the database, and wait until they are."""
        self.sql(_CLOSE)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement on a connection of its own, which commits, and return the rows.

        For setting up and looking on.  Raises RuntimeError with the server's message.
        """
        import psycopg

        try:
            with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
                cursor = connection.execute(statement.encode())
                return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise RuntimeError(str(error).strip()) from error

    def _program(self) -> str:
        return _find("postgres")

    def _prepare(self) -> None:
        password = self._write("password", self._password)
        access = ("--auth=scram-sha-256", f"--username={_USER}", f"--pwfile={password}")
        quick = ("--no-sync", "--no-instructions", "--locale=C", "--encoding=UTF8")
        self._run(_find("initdb"), "--pgdata=data", *access, *quick)

    def _options(self) -> Sequence[str]:
        options = [f"--{name}={value}" for name, value in _OPTIONS.items()]
        return ["-D", "data", "-p", str(self.port), *options, *self._args]

    def _is_ready(self) -> bool:
        return "ready to accept connections" in self._log()


def _find(program: str) -> str:
    """Debian keeps the programs of each version apart; the newest is taken."""
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    newest = sorted(versions, key=lambda path: float(path.parent.name), reverse=True)
    return find_program(
        program,
        packages="postgresql on Debian and Ubuntu, postgresql-server on Fedora",
        places=[str(path) for path in newest],
    )
