"""What all commands share: options, exit status, and how an error is told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import IntEnum
from typing import Any, NoReturn, Protocol, TypeVar
from urllib.parse import urlsplit

import click
import msgspec

from moored.errors import (
    CorruptRecord,
    MisuseError,
    MooredError,
    OutcomeUnknown,
    Unavailable,
)

F = TypeVar("F", bound=Callable[..., Any])

URL_KEY = "moored.url"  # in a context's meta: what --url said
JSON_VERSION = 1


class Exit(IntEnum):
    """The exit status of a command."""

    OK = 0
    FINDING = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4


def exit_of(error: MooredError) -> Exit:
    """The exit status that an error comes to."""
    match error:
        case MisuseError():
            return Exit.USAGE
        case Unavailable(outage=True) | OutcomeUnknown():
            return Exit.UNREACHABLE
        case CorruptRecord():
            return Exit.FINDING
    return Exit.REFUSED


class Failure(click.ClickException):
    """An error for people: one line on stderr, and with ``--json`` an object on stdout."""

    def __init__(self, message: str, status: Exit, code: str = "", *, as_json: bool = False) -> None:
        super().__init__(" ".join(message.split()))
        self.status = status
        self._code, self._as_json = code, as_json

    @property
    def exit_code(self) -> int:  # type: ignore[override] # click has a class variable, 1 for all
        """The exit status."""
        return int(self.status)

    def show(self, file: Any = None) -> None:
        """Tell it."""
        super().show(file)
        if self._as_json:
            put_json({"error": {"code": self._code or None, "message": self.message}})


class Command(click.Command):
    """A command that tells errors of Moored in one line and exits as documented."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        as_json = bool(ctx.params.get("as_json"))
        try:
            return super().invoke(ctx)
        except MooredError as error:
            raise Failure(str(error), exit_of(error), error.code, as_json=as_json) from None
        except OSError as error:
            if error.filename is None:  # not about a file that the command was to read or write
                raise
            why = f"{error.filename}: {error.strerror}."
            raise Failure(why, Exit.REFUSED, as_json=as_json) from None


class Group(click.Group):
    """A group of such commands."""

    command_class: type[click.Command] | None = Command


def put_json(members: dict[str, Any]) -> None:
    """Write the object that ``--json`` promises: ``version`` and these members."""
    text = msgspec.json.encode({"version": JSON_VERSION, **members})
    click.echo(msgspec.json.format(text, indent=2))


def finding() -> NoReturn:
    """End with the exit status "something was found, or was not there"."""
    click.get_current_context().exit(Exit.FINDING)


# --- Options ------------------------------------------------------------------------------


def _keep_url(ctx: click.Context, _option: click.Parameter, url: str | None) -> None:
    if url is None:
        return
    ctx.meta[URL_KEY] = url
    try:
        secret = urlsplit(url).password
    except ValueError:  # told, with what to do, by whoever uses the URL
        return
    if secret:
        click.echo(
            "Warning: other users of this host can read the password in --url in its list of processes."
            " Put the URL in MOORED_URL instead.",
            err=True,
        )


class Option(Protocol):
    """A decorator that gives a command an option."""

    def __call__(self, command: F, /) -> F:
        """The same command."""
        ...


def option_for_url(default: str) -> Option:
    """``--url``; the URL is kept in the context's ``meta``."""
    return click.option(
        "--url",
        metavar="URL",
        expose_value=False,
        is_eager=True,
        callback=_keep_url,
        help=f"Where the state is, for example sqlite:///shop.db or redis://localhost.  [default: {default}]",
    )


url_option: Option = option_for_url("MOORED_URL")
json_option: Option = click.option(
    "--json", "as_json", is_flag=True, help="Write JSON to stdout and nothing else."
)
yes_option: Option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


def confirm(question: str, yes: bool, why: str = "This cannot be undone") -> None:
    """Go on only if ``yes`` was given or the person at the terminal agrees; ``why`` it is asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{why}, and there is no terminal to ask at: give --yes.")
    click.confirm(question, abort=True, err=True)
