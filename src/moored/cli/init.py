"""``moored init``: the URL and a secret for the application in this folder."""

from __future__ import annotations

from pathlib import Path

import click

from moored.cli import env_file, screen
from moored.cli.command import URL_KEY, Command, Exit, Failure, json_option, option_for_url, put_json
from moored.cli.host import Host, find
from moored.seal import random_secret
from moored.url import parse, redacted, sqlite_in

REMARK = "Written by `moored init`; MOORED_SECRET proves who is signed in: keep it to yourself."
IGNORED = (env_file.NAME, "instance/")
ALSO_IGNORES = {
    env_file.NAME: {"/.env", ".env*", "*.env"},
    "instance/": {"instance", "/instance", "/instance/"},
}


@click.command(cls=Command)
@option_for_url("instance/moored.db")
@json_option
@click.pass_context
def init(ctx: click.Context, as_json: bool) -> None:
    """Write the URL and a secret for the application in this folder.

    Writes MOORED_URL (a SQLite file in the folder instance, unless --url names another
    place) and a new MOORED_SECRET to the file .env, which only you can read and which
    .gitignore then names.  What is there already stays as it is, so this can be run again.
    """
    folder = Path.cwd()
    given: str | None = ctx.meta.get(URL_KEY)
    before = env_file.values(folder)
    there = before.get("MOORED_URL")
    if given is not None and there and there != given:
        raise Failure(
            f"{env_file.NAME} names another URL ({redacted(there)}): change MOORED_URL there, if it is to be"
            " another one.",
            Exit.REFUSED,
            as_json=as_json,
        )
    url = there or given or sqlite_in(folder / "instance")
    parse(url)
    new = {"MOORED_URL": url, "MOORED_SECRET": random_secret()}
    new = {name: value for name, value in new.items() if not before.get(name)}
    if new:
        env_file.add(folder, REMARK, new)
    ignored = _ignore(folder / ".gitignore")
    host = find(folder)
    if as_json:
        put_json({"url": redacted(url), "wrote": list(new), "ignored": ignored, **host.members()})
        return
    screen.say(
        f"Wrote {' and '.join(new)} to .env." if new else "Wrote nothing: .env has all there is to set."
    )
    screen.say(f"The state is kept at {redacted(url)}.")
    if ignored:
        screen.say(f"Added to .gitignore: {', '.join(ignored)}")
    _next(host)


def _ignore(path: Path) -> list[str]:
    """What had to be added to ``.gitignore``."""
    text = path.read_text() if path.exists() else ""
    lines = {line.strip() for line in text.splitlines()}
    missing = [entry for entry in IGNORED if not lines & {entry, *ALSO_IGNORES[entry]}]
    if missing:
        between = "" if not text or text.endswith("\n") else "\n"
        with path.open("a") as out:
            out.write(between + "\n".join(missing) + "\n")
    return missing


def _next(host: Host) -> None:
    screen.say(f"\n{host.what}")
    if host.code:
        screen.say("")
        for line in host.code:
            screen.say(f"    {line}")
    screen.say(f"\n{host.environment}")
