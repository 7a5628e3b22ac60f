"""``moored keys``: which keys are in force, and how one is replaced without signing anybody out."""

from __future__ import annotations

import click
from msgspec import Struct

from moored.cli import env_file, screen
from moored.cli.command import (
    Exit,
    Group,
    confirm,
    finding,
    json_option,
    put_json,
    url_option,
    yes_option,
)
from moored.cli.key_places import Place, find, of_keys, replace
from moored.cli.target import target
from moored.seal import KeyRing, random_secret
from moored.web.secret import Keys
from moored.web.weak_secret import fault

ID_BYTES = 4
PURPOSE = "key id"
STYLES = {"active": "green", "staged": "cyan", "accepted": ""}

NONE = "No key is set here. `moored init` makes one; an application may have one of its own."
RESTART = "Restart every process of the application, on every host."
AGAIN = "Then run `{} keys rotate` again: it makes the new key the active one."
LIFE = "a session can live (MOORED_SESSION_ABSOLUTE, 90 days unless it is set)"
DROP = f"Once that is longer ago than {LIFE}, run `{{}} keys rotate --drop-old`."
COPY = "Bring the changed .env to every host that has a copy of it."
FLASK_TOO = (
    "SECRET_KEY of the app is the same key. Moored honours the others by itself; what Flask signs on its own"
    " is honoured only if SECRET_KEY_FALLBACKS of the app has them, too: they stand in MOORED_SECRET_NEXT and"
    " MOORED_SECRET_FALLBACKS."
)
SIGNED_OUT = (
    "That signs out who has not been sent a cookie since every process was restarted with the present key."
    " One is sent at sign-in and sign-out, and now and then while a session is used."
)


class Key(Struct, frozen=True):
    """What may be known of a key: ``id`` is a keyed check under it, from which it cannot be found."""

    id: str
    role: str
    where: str
    weak: bool


@click.group(cls=Group)
def keys() -> None:
    """Show which keys are in force, and replace them.

    A key proves that a cookie is the application's own. It is never shown: its id stands for it.
    """


@keys.command("list")
@url_option
@json_option
def list_(as_json: bool) -> None:
    """List the keys that are in force.

    The active one is what cookies are made with; staged and accepted ones are honoured.
    """
    place = find(target())
    known = [] if place is None else _known(place)
    if as_json:
        put_json({"keys": known})
    elif place is None:
        screen.say(NONE)
    else:
        rows: list[tuple[screen.Cell, ...]] = []
        for key in known:
            strength = ("weak", "bold red") if key.weak else "good"
            rows.append((key.id, (key.role, STYLES[key.role]), strength, key.where))
        screen.table(rows, ("KEY", "ROLE", "STRENGTH", "KEPT IN"), flexible=3)
    if place is None:
        finding()


@keys.command()
@click.option("--drop-old", is_flag=True, help="Stop honouring the keys that were replaced.")
@yes_option
@url_option
@json_option
def rotate(drop_old: bool, yes: bool, as_json: bool) -> None:
    """Replace the active key, in two steps that sign nobody out.

    The first call makes a new key that is honoured, and not used yet. When every process
    was restarted, a second call makes it the active one; the old one stays honoured until
    it is dropped with --drop-old.
    """
    about = target()
    place = find(about)
    program = "moored" if about.app is None else "flask moored"
    if place is None:
        _tell("none", None, [NONE], as_json)
        finding()
    if place.keys is None or place.write is None:
        steps = [f"{place.where} is not for Moored to write. By hand:", *_by_hand(place.names)]
        _tell("by hand", place, steps, as_json)
        click.get_current_context().exit(Exit.REFUSED)
    if drop_old:
        did, after, steps = _drop(place.keys, yes)
    elif place.keys.staged:
        did, after, steps = _activate(place.keys, yes)
    else:
        did, after, steps = _stage(place.keys)
    if after is None:
        _tell(did, place, steps, as_json)
        finding()
    replace(about, place, after)
    if place.where == env_file.NAME:
        steps.insert(1, COPY)
    if place.also_flask:
        steps.append(FLASK_TOO)
    _tell(did, of_keys(place.where, after, place.write), [step.format(program) for step in steps], as_json)


# --- The steps ----------------------------------------------------------------------------------

Step = tuple[str, Keys | None, list[str]]  # what was done, the keys from then on, and what to say


def _stage(now: Keys) -> Step:
    after = Keys(now.active, random_secret(), now.accepted)
    what = (
        f"Key {key_id(after.staged)} is staged: processes that start from now on honour it, and none uses it."
    )
    return "staged", after, [what, RESTART, AGAIN]


def _activate(now: Keys, yes: bool) -> Step:
    staged, active = key_id(now.staged), key_id(now.active)
    confirm(
        f"Was every process restarted since key {staged} was staged? One that was not would take cookies made"
        " with it for none. Make it the active one?",
        yes,
        "Whether every process was restarted cannot be seen from here",
    )
    after = Keys(now.staged, "", (now.active, *now.accepted))
    what = f"Key {staged} is active: processes that start from now on use it. Key {active} is still honoured."
    return "activated", after, [what, RESTART, DROP]


def _drop(now: Keys, yes: bool) -> Step:
    if not now.accepted:
        return "nothing", None, ["There is no old key to drop."]
    old = ", ".join(map(key_id, now.accepted))
    confirm(f"Drop {old}? {SIGNED_OUT}", yes)
    what = f"Dropped {old}: processes that start from now on do not honour it. {SIGNED_OUT}"
    return "dropped", Keys(now.active, now.staged), [what, RESTART]


def _by_hand(names: tuple[str, str, str]) -> list[str]:
    active, staged, accepted = names
    return [
        "1. Make a key: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        f"2. Put it into {staged}, beside what is there. {RESTART}",
        f"3. Make it {active} and put the old one into {accepted}. {RESTART}",
        f"4. When that is longer ago than {LIFE}, take the old one out. {RESTART}",
    ]


# --- Showing ------------------------------------------------------------------------------------


def _tell(did: str, place: Place | None, lines: list[str], as_json: bool) -> None:
    if as_json:
        known = [] if place is None else _known(place)
        put_json({"did": did, "keys": known, "told": lines})
        return
    for line in lines:
        screen.say(line)


def _known(place: Place) -> list[Key]:
    return [Key(key_id(secret), role, place.where, bool(fault(secret))) for role, secret in place.secrets]


def key_id(secret: str | bytes) -> str:
    """A name for a key that may be shown."""
    return KeyRing([secret]).check(PURPOSE, b"", ID_BYTES).hex()
