"""A real MariaDB server for tests; ``moored.testing.process`` says when servers end."""

from __future__ import annotations

import os
import pwd
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from moored.testing.process import HOST, ServerProcess, find_program

_USER = "moored"
_DATABASE = "moored"

_OTHERS = (
    "SELECT id FROM information_schema.processlist"
    " WHERE user = substring_index(current_user(), '@', 1) AND id <> connection_id()"
)

# What makes tests quick.  Nothing here outlives a crash of the machine, nor is it meant to.
_QUICK = (
    "--innodb-flush-method=nosync",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-doublewrite=OFF",
    "--innodb-buffer-pool-size=16M",
    "--innodb-log-file-size=8M",
    "--innodb-fast-shutdown=2",
)


class MariaDBServer(ServerProcess):
    """A real ``mariadbd``, started and ended by a ``with`` block.

    ``args`` are further options of the server (``"--innodb-flush-method=fsync"``), which
    outweigh those that make it quick: nothing is synchronised to disk unless they say so.  What
    was committed survives ``kill`` all the same.  Its one user over TCP may do everything and
    has a random password.
    """

    PROGRAM = "mariadbd"
    ACCOUNTS = ("mysql", "nobody")

    def __init__(self, *args: str, port: int | None = None) -> None:
        super().__init__(port)
        self._args = args
        self._password = secrets.token_urlsafe(16)

    @property
    def url(self) -> str:
        """The URL of its database, with the user and the password."""
        return f"mysql://{_USER}:{self._password}@{HOST}:{self.port}/{_DATABASE}"

    def clear(self) -> None:
        """Close all connections to the server and remove what is in the database."""
        self.close_connections()
        self.sql(f"CREATE OR REPLACE DATABASE {_DATABASE} CHARACTER SET utf8mb4")

    def close_connections(self) -> None:
        """Close all connections to the server."""
        for (connection,) in self.sql(_OTHERS):
            with suppress(RuntimeError):  # it has ended by itself
                self.sql(f"KILL {connection}")

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement on a connection of its own, which commits, and return the rows.

        For setting up and looking on.  Raises RuntimeError with the server's message.
        """
        import pymysql

        try:
            connection = pymysql.connect(
                host=HOST,
                port=self.port,
                user=_USER,
                password=self._password,
                database=_DATABASE,
                autocommit=True,
                read_timeout=5,
            )
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall())
        except pymysql.Error as error:
            raise RuntimeError(str(error)) from error

    def _program(self) -> str:
        return _find("mariadbd")

    def _prepare(self) -> None:
        account = self._account or pwd.getpwuid(os.geteuid())
        self._run(
            _find("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            "--skip-test-db",
            "--skip-name-resolve",
            "--auth-root-authentication-method=socket",  # so that root has no password that is known
            f"--auth-root-socket-user={account.pw_name}",
            *_QUICK,
        )
        login = f"{_USER}@'{HOST}'"
        self._write(
            "login.sql",
            f"CREATE OR REPLACE USER {login} IDENTIFIED BY '{self._password}';\n"
            f"GRANT ALL ON *.* TO {login};\n"
            f"CREATE DATABASE IF NOT EXISTS {_DATABASE} CHARACTER SET utf8mb4;\n",
        )

    def _options(self) -> Sequence[str]:
        where = (f"--bind-address={HOST}", f"--port={self.port}", f"--socket={self.folder / 'mariadb.sock'}")
        files = (f"--datadir={self.folder / 'data'}", f"--pid-file={self.folder / 'mariadb.pid'}")
        login = f"--init-file={self.folder / 'login.sql'}"
        return ["--no-defaults", "--skip-name-resolve", *where, *files, login, *_QUICK, *self._args]

    def _is_ready(self) -> bool:
        return "ready for connections" in self._log()


def _find(program: str) -> str:
    return find_program(
        program,
        packages="mariadb-server on Debian, Ubuntu and Fedora",
        places=("/usr/sbin", "/usr/libexec"),  # not on everybody's PATH
    )
