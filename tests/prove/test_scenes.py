"""Every scene finds what it looks for, on sides that lose, and nothing on those that do not."""

from __future__ import annotations

import pytest
from tests.prove import broken
from tests.prove.broken import ours
from tests.prove.conftest import Run

from moored.prove import gate, proof, sides
from moored.prove.proof import Proof
from moored.prove.scenes import SCENES, TIMES
from moored.testing.servers import RedisServer


def words(it: Proof) -> list[str]:
    """What is said of the only side."""
    return [it.of(scene, it.sides[0]).said(scene) for scene in it.scenes]


def test_flask_session_in_the_place_of_moored(run: Run) -> None:
    """The barrier makes it lose all but one of each round, whatever the machine."""
    it = run(ours(sides.flask_session_in_files), scenes=("cart", "keys", "sign-out", "fixation", "nested"))
    assert words(it) == [
        "lost 75 of 100",
        "lost 30 of 40",
        "undone 8 of 8",
        "stolen 8 of 8",
        "kept all 8",
    ]
    assert it.lost
    assert not it.not_run


def test_flasks_cookie_in_the_place_of_moored(run: Run) -> None:
    it = run(ours(sides.flask_cookie), scenes=("cart", "keys", "sign-out", "fixation", "nested"))
    assert words(it) == ["lost 75 of 100", "lost 30 of 40", "undone 8 of 8", "held all 8", "lost 8 of 8"]
    assert it.lost


def test_a_moored_that_is_told_to_lose(run: Run) -> None:
    it = run(ours(broken.replacing), scenes=("cart", "keys"))
    assert words(it) == ["lost 75 of 100", "kept all 40"]
    assert it.lost


def test_a_loss_without_overlap(run: Run) -> None:
    """The scene without a barrier is found to lose too, and not by chance."""
    it = run(ours(broken.short_memory), scenes=("rush", "nested"))
    for scene in it.scenes:
        assert it.of(scene, it.sides[0]).lost > 0
    assert it.lost


def test_a_loss_of_all_of_it(run: Run) -> None:
    proof = run(ours(broken.forgets_all), scenes=("nested",))
    (scene,), (side,) = proof.scenes, proof.sides
    assert proof.of(scene, side).said(scene) == "lost 8 of 8"
    assert proof.lost


def test_flask_session_has_a_cure_for_fixation(run: Run) -> None:
    """What is said for it in the result is true."""
    assert words(run(ours(broken.regenerating), scenes=("fixation",))) == ["held all 8"]


# --- What proves nothing ---------------------------------------------------------------------


def test_a_side_that_cannot_be_installed(run: Run) -> None:
    it = run(ours(broken.cannot_be_installed), scenes=("cart", "nested"))
    assert words(it) == ["not run", "not run"]
    assert it.not_run
    assert not it.lost
    for scene in it.scenes:
        error = it.of(scene, it.sides[0]).error
        assert error == "the server did not start: ImportError: there is no such store"


def test_nobody_signed_in_is_no_proof(run: Run) -> None:
    it = run(ours(broken.knows_nobody), scenes=("sign-out", "fixation"))
    assert words(it) == ["not run", "not run"]
    assert it.not_run


def test_requests_that_did_not_overlap_are_no_proof(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "PATIENCE", 1.0)
    it = run(ours(broken.one_at_a_time), scenes=("cart",))
    assert it.of(SCENES[0], it.sides[0]).error == "only 1 of 4 came as far as “read”"
    assert it.not_run


def test_an_error_is_told_and_so_no_loss(run: Run) -> None:
    it = run(ours(broken.fails_at_times), scenes=("nested",))
    result = it.of(it.scenes[0], it.sides[0])
    assert (result.lost, result.failed, result.kept) == (0, 1, TIMES - 1)
    assert words(it) == ["kept 7 of 8, 1 failed"]
    assert it.not_run
    assert not it.lost


# --- All of it ---------------------------------------------------------------------------------


def test_moored_loses_nothing(redis_server: RedisServer) -> None:
    """On SQLite and on Redis; how long all of it takes is printed, and not held to anything."""
    some = sides.sides(redis=True)
    found = proof.run(some, SCENES, 1, lambda *_: None, redis=redis_server.url, prefix="all:")
    for side in some[2:]:
        assert [found.of(scene, side).said(scene) for scene in SCENES] == [
            *["kept all 100", "kept all 100", "kept all 40"],
            *["held all 8", "held all 8", "kept all 8"],
        ]
    assert [found.of(scene, some[1]).lost for scene in SCENES if scene.id != "rush"] == [75, 30, 8, 8, 0]
    assert not found.lost
    assert not found.not_run
    assert all([result.processes > 1 for result in found.results.values() if result.expected > TIMES])
    print(f"all scenes on {len(some)} sides: {found.seconds:.1f} s")
