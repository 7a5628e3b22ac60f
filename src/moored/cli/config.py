"""``moored config``: what is in force, where it was said, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click
from msgspec import Struct

from moored.cli import screen, words
from moored.cli.checks import Finding
from moored.cli.command import Command, Exit, Group, json_option, put_json, url_option
from moored.cli.target import Target, file_of, target
from moored.errors import MooredError
from moored.url import COMMON
from moored.web.secret import kept_beside

DEFAULT = "default"
# What holds where the URL says nothing; `tests/cli` holds them equal to what the engines do.
DEFAULTS: dict[str, Any] = {
    "deadline": 2.0,
    "evicting": "refuse",
    "max_connections": 50,
    "prefix": "moored:",
    "protocol": 2,
    "synchronous": "full",
    "wait": 0,
}
SECRET = {"password"}  # options of which is said only whether they are set


class Setting(Struct, frozen=True):
    """A setting, its value as JSON can say it, and where that was said; no secret is a value."""

    name: str
    value: Any
    source: str
    unit: str = ""


@click.group(cls=Group)
def config() -> None:
    """Show what is in force, and look for mistakes."""


@config.command()
@url_option
@json_option
def show(as_json: bool) -> None:
    """Show every setting, its value, and where it was said.

    Of secrets it is shown only whether they are set.
    """
    found = list(in_force(target()))
    if as_json:
        put_json({"settings": found})
        return
    rows: list[tuple[screen.Cell, ...]] = []
    for each in found:
        style = "dim" if each.source == DEFAULT else ""
        rows.append((each.name, (_worded(each.value, each.unit), style), (each.source, style)))
    screen.table(rows, ("SETTING", "VALUE", "FROM"), flexible=1)


class _Check(Command):
    """A command to which what is wrong with the configuration is a finding, also where it is met early."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        from moored.cli.checks.engine import told

        try:
            return click.Command.invoke(self, ctx)
        except MooredError as wrong:  # a setting that keeps the application from starting
            return _judge(ctx, [told("MRD-D008", wrong)], bool(ctx.params.get("as_json")))


@config.command(cls=_Check)
@url_option
@json_option
@click.pass_context
def check(ctx: click.Context, as_json: bool) -> None:
    """Look for mistakes in the configuration, starting nothing.

    Looks at the URL and its options, at names of variables, at the keys and, as `flask
    moored config check`, at the application's settings. The exit status is 1 if anything is
    wrong. `doctor` looks at the engine, too.
    """
    _judge(ctx, [*_checked(target())], as_json)


def _checked(about: Target) -> Iterator[Finding]:
    from moored.cli.checks import engine, names, ok, secret

    yield names.check(about)
    state = engine.url(about)
    if isinstance(state, Finding):
        yield state
        return
    yield ok("MRD-D001", f"The state is kept at {state.url} ({about.source}).")
    yield from secret.check(about)
    if about.app is not None:
        from moored.cli.checks.flask_app import settings

        yield settings(about.app)


def _judge(ctx: click.Context, found: list[Finding], as_json: bool) -> None:
    from moored.cli.checks import Severity
    from moored.cli.doctor import show as put

    order = list(Severity)
    found = sorted(found, key=lambda each: each.id)
    worst = max([each.severity for each in found], key=order.index)
    if as_json:
        put_json({"worst": worst, "findings": found})
    else:
        put(found)
    if order.index(worst) >= order.index(Severity.WARNING):
        ctx.exit(Exit.FINDING)


def in_force(about: Target) -> Iterator[Setting]:
    """Every setting that the target has.  Raises ConfigurationError."""
    state = about.state
    yield Setting("MOORED_URL", str(state.url), about.source)
    given = state.url.options
    for name in sorted({*COMMON, *type(state.binding.engine).options}):  # type: ignore[attr-defined]
        value = given.get(name, DEFAULTS.get(name))
        source = about.source if name in given else DEFAULT
        if name in SECRET:
            is_set = name in given or state.url.parts.password
            value, source = ("set", about.source) if is_set else ("not set", DEFAULT)
        yield Setting(f"?{name}=", value, source, "s" if name == "deadline" else "")
    yield _secret(about)
    if about.app is not None:
        from moored.cli.flask_settings import settings

        yield from settings(about.app)


def _secret(about: Target) -> Setting:
    secrets = about.secrets
    if secrets:
        more = len(secrets) - 1
        return Setting("secret", f"set, and {more} more" if more else "set", secrets[0].source)
    path = file_of(about.state.url)
    if path is not None and (kept := kept_beside(path)).exists():
        return Setting("secret", "made up", str(kept))
    return Setting("secret", "not set", DEFAULT)


def _worded(value: Any, unit: str) -> str:
    if unit == "s":
        return words.exactly(value)
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(map(str, value)) or "-"
        case Mapping():
            return ", ".join(f"{name}: {rule}" for name, rule in value.items()) or "-"
    return f"{value} {unit}".rstrip()
