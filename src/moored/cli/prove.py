"""``moored prove``: what other ways to keep sessions lose, and Moored keeps, on this host."""

from __future__ import annotations

import secrets
import shutil
import signal
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import click
from click.core import ParameterSource

from moored.cli import screen
from moored.cli.command import Command, Exit, Failure, finding, json_option, put_json
from moored.prove.scenes import SCENES, Scene

NEEDED = ("flask", "flask_session", "cachelib", "gunicorn", "redis", "rich")


@click.command(cls=Command)
@click.option(
    "--scene",
    "names",
    type=click.Choice([scene.id for scene in SCENES]),
    multiple=True,
    help="Run this scene only; may be given several times.",
)
@click.option(
    "--redis",
    "url",
    metavar="URL",
    envvar="MOORED_PROVE_REDIS",
    default="",
    help="Use this Redis.  [default: MOORED_PROVE_REDIS; else one is started, if redis-server is installed]",
)
@click.option("--seed", type=click.IntRange(0), help="Make the choices of the run that had this seed.")
@click.option(
    "--svg",
    "picture",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Also draw the result into this file.",
)
@click.option("--show", is_flag=True, help="Print the program that is run, and run nothing.")
@json_option
@click.pass_context
def prove(
    ctx: click.Context,
    names: tuple[str, ...],
    url: str,
    seed: int | None,
    picture: Path | None,
    show: bool,
    as_json: bool,
) -> None:
    """Run one shop with its sessions kept in several ways, and count what each keeps.

    Flask's cookie and Flask-Session against Moored: the same handlers under the same
    server with four processes, on this host. The exit status is 1 if Moored loses
    anything.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise Failure(
            f"The proof needs {', '.join(missing)}, not installed here: pip install 'moored[prove]'"
            " (in a clone of the repository: pip install '.[prove]').",
            Exit.USAGE,
            as_json=as_json,
        )
    if show:
        _show(bool(url or shutil.which("redis-server")), as_json)
        return
    if picture is not None and not picture.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {str(picture.parent)!r}.", param_hint="--svg")
    if ctx.get_parameter_source("url") is ParameterSource.COMMANDLINE and "@" in url:
        screen.note(
            "Warning: other users of this host can read a password in --redis in its list of processes."
            " Put the URL in MOORED_PROVE_REDIS instead."
        )
    chosen = [scene for scene in SCENES if scene.id in names] if names else list(SCENES)
    _run(chosen, url, secrets.randbelow(10_000) if seed is None else seed, picture, as_json)


def _show(redis: bool, as_json: bool) -> None:
    from moored.prove.sides import program, sides

    text = program(sides(redis=redis))
    if as_json:
        put_json({"program": text})
    else:
        screen.say(text)


@contextmanager
def _ending_in_order() -> Generator[None]:
    """Clean up also when the process is told to end, as when it is interrupted."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(scenes: list[Scene], url: str, seed: int, picture: Path | None, as_json: bool) -> None:
    from moored.prove import report
    from moored.prove.board import Board, show
    from moored.prove.gate import NotRun
    from moored.prove.place import ground
    from moored.prove.proof import run
    from moored.prove.sides import sides

    try:
        with _ending_in_order(), ground(url) as found:
            some = sides(redis=bool(found.redis))
            with Board(scenes, some) as board:
                proof = run(some, scenes, seed, board.watch, redis=found.redis, prefix=found.prefix)
    except NotRun as error:
        raise Failure(f"{error}.", Exit.UNREACHABLE, as_json=as_json) from None
    if picture is not None:
        from moored.prove.picture import draw

        picture.write_text(draw(proof, found), encoding="utf-8")
    if as_json:
        put_json(report.members(proof, found))
    else:
        show(proof, found)
    for error_words in report.errors(proof):
        screen.note(f"Not run: {error_words}")
    if proof.lost:
        finding()
    if proof.not_run:
        click.get_current_context().exit(Exit.UNREACHABLE)
