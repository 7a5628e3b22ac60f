"""What is said to the server and understood of what it says, whoever carries it to and fro."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from time import monotonic_ns
from typing import Any, TypeVar

from moored.commands import Command, Op, Read, Refused, Scan, Step
from moored.engines.redis_arguments import arguments
from moored.engines.redis_replies import (
    answer,
    corrupt,
    failure,
    info_members,
    page,
    record,
    remembered,
    some_fields,
)
from moored.engines.redis_resp import ReplyError, pack
from moored.engines.redis_scripts import scripts
from moored.errors import ConfigurationError, CorruptRecord, MooredError, OutcomeUnknown, Unavailable

T = TypeVar("T")
Packet = tuple[bytes, int]  # what is sent, and how many replies it has
Talk = Generator[Packet, list[Any], T]  # a conversation: packets out, replies in

TIME = pack(["TIME"])
# What replicas are not given of the time there is: it is for the answer's way, and because the server
# looks only ten times a second (its `hz`) whether a wait is over.
WAIT_MARGIN, WAIT_MARGIN_MS = 0.25, 100
_GLOB = str.maketrans({character: f"\\{character}" for character in "*?[]\\"})

_log = logging.getLogger("moored")


class Dialogue:
    """Conversations with one server; ``place`` is what messages call it.

    ``clock`` takes the place of the server's.
    """

    def __init__(self, place: str, prefix: str, wait: int, clock: Callable[[], int] | None) -> None:
        self._place, self._prefix, self._wait, self._clock = place, prefix, wait, clock
        self._learnt: tuple[int, int] | None = None  # the server's microseconds, and ours when they came
        self._scripts = scripts() if clock is None else scripts("{0, table.remove(ARGV)}")
        self._load = b"".join([pack(["SCRIPT", "LOAD", script.text]) for script in self._scripts.values()])

    def time(self) -> int | None:
        """The server's clock in microseconds, or a little earlier; None before it was heard."""
        if self._clock is not None:
            return self._clock()
        if self._learnt is None:
            return None
        server, ours = self._learnt
        return server + monotonic_ns() // 1000 - ours

    def greet(self, ask_policy: bool) -> Talk[None]:
        """Learn the time; refuse a server that evicts records, if it was asked."""
        clock, *info = yield (TIME + pack(["INFO", "memory"]), 2) if ask_policy else (TIME, 1)
        if isinstance(clock, ReplyError):
            raise failure(self._place, "", clock, False) from clock
        self._micros(clock)
        if info:
            self._check_policy(info[0])

    def info(self) -> Talk[dict[str, str]]:
        """All that the server tells of itself."""
        (said,) = yield pack(["INFO", "all"]), 1
        if isinstance(said, ReplyError):
            raise failure(self._place, "", said, False) from said
        return info_members(said)

    def remembered(self, key: str) -> Talk[int]:
        """How many operations a record remembers."""
        (said,) = yield pack(["HGET", self._prefix + key, "o"]), 1
        if isinstance(said, ReplyError):
            raise failure(self._place, key, said, False) from said
        try:
            return len(remembered(said or b""))
        except ValueError:
            raise corrupt(key) from None

    def carry_out(self, step: Step, ops: tuple[Op, ...], timeout: float) -> Talk[list[Any]]:
        """Have the step carried out: usually one packet, one more if the server lacks the scripts."""
        if not step:
            return []
        packets = [self._packed(command, op) for command, op in zip(step, ops, strict=True)]
        clocks = 1 if Read in map(type, step) else 0
        head, tail = TIME * clocks, b""
        if self._wait and any(map(changes, step)):
            spared = max(WAIT_MARGIN_MS, timeout * 1000 * WAIT_MARGIN)
            # Redis takes 0 for ever.
            tail = pack(["WAIT", self._wait, max(1, int(timeout * 1000 - spared))])
        count = clocks + len(step) + bool(tail)
        said = yield head + b"".join(packets) + tail, count
        replies = said[clocks : clocks + len(step)]
        missing = [number for number, reply in enumerate(replies) if _lacks_script(reply)]
        if missing:
            # What changed something is not repeated; what was read is read again, in its order.
            again = [n for n in range(missing[0], len(step)) if n in missing or not changes(step[n])]
            packet = b"".join([self._load, head, *[packets[n] for n in again], tail])
            loaded = len(self._scripts)
            said = yield packet, loaded + clocks + len(again) + bool(tail)
            refused = next((reply for reply in said[:loaded] if isinstance(reply, ReplyError)), None)
            said = said[loaded:]
            for number, reply in zip(again, said[clocks:], strict=False):
                replies[number] = refused if refused is not None and _lacks_script(reply) else reply
        return self._answers(step, replies, said[0] if clocks else None, said[-1] if tail else None)

    # --- What is said -----------------------------------------------------------------------

    def _packed(self, command: Command[Any], op: Op) -> bytes:
        key = self._prefix + command.key
        if isinstance(command, Read):
            if command.names is None:
                return pack(["HGETALL", key])
            return pack(["HMGET", key, "v", "d", "x", *[f":{name}" for name in command.names]])
        if isinstance(command, Scan):
            pattern = f"{key.translate(_GLOB)}*"
            return pack(["SCAN", command.cursor or "0", "MATCH", pattern, "COUNT", command.limit])
        words = arguments(command, op)
        if self._clock is not None:
            words.append(self._clock())
        return pack(["EVALSHA", self._scripts[type(command)].sha, 1, key, *words])

    # --- What is understood -------------------------------------------------------------------

    def _answers(self, step: Step, replies: list[Any], clock: Any, confirmed: Any) -> list[Any]:
        now = 0 if clock is None else self._micros(clock) // 1000
        answers: list[Any] = []
        failures: list[MooredError] = []
        changed = False
        for command, reply in zip(step, replies, strict=True):
            try:
                if isinstance(reply, ReplyError):
                    raise failure(self._place, command.key, reply, changes(command)) from reply
                if isinstance(command, Read):
                    if command.names is None:
                        answers.append(record(command.key, reply, now))
                    else:
                        answers.append(some_fields(command.key, command.names, reply, now))
                elif isinstance(command, Scan):
                    answers.append(page(self._prefix, reply))
                else:
                    if self._clock is None:
                        self._learnt = reply[1], monotonic_ns() // 1000
                    answers.append(answer(command, reply))
                    changed = changed or type(answers[-1]) is not Refused
            except MooredError as error:
                failures.append(error)
        if failures:
            raise self._worst(failures, changed)
        if changed and confirmed is not None and not (type(confirmed) is int and confirmed >= self._wait):
            had = confirmed if type(confirmed) is int else 0
            raise OutcomeUnknown(
                f"{self._place} has made the change, but {had} of the {self._wait} replicas that ?wait= asks"
                " for have confirmed it in time: it is lost if the server is lost now."
            )
        return answers

    def _micros(self, clock: list[bytes]) -> int:
        """What TIME answered, in microseconds."""
        if self._clock is not None:
            return self._clock()
        micros = int(clock[0]) * 1_000_000 + int(clock[1])
        self._learnt = micros, monotonic_ns() // 1000
        return micros

    def _worst(self, failures: list[MooredError], changed: bool) -> MooredError:
        """The failure to raise; none that says "nothing was changed" where something was."""
        for failed in failures:
            if isinstance(failed, CorruptRecord) or not isinstance(failed, Unavailable):
                return failed
        if not changed:
            return failures[0]
        partly = OutcomeUnknown(
            f"a part of the step was carried out, the rest was not: {failures[0].args[0]}"
        )
        partly.__cause__ = failures[0].__cause__
        return partly

    def _check_policy(self, info: Any) -> None:
        if isinstance(info, ReplyError) or b"maxmemory_policy:" not in info:
            _log.warning(
                "%s does not tell its maxmemory-policy (INFO memory): make sure that it is noeviction, or"
                " records can vanish.",
                self._place,
            )
            return
        policy = info.partition(b"maxmemory_policy:")[2].split(maxsplit=1)[0].decode()
        if policy != "noeviction":
            raise ConfigurationError(
                f"{self._place} has the maxmemory-policy {policy}: when its memory is full it evicts records,"
                " live sessions and locks among them (volatile-* does so as well: records have deadlines)."
                " Set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in redis.conf). Where"
                " losing records does no harm, allow it with ?evicting=allow."
            )


def changes(command: Command[Any]) -> bool:
    """May the command change something?"""
    return not isinstance(command, (Read, Scan))


def _lacks_script(reply: Any) -> bool:
    return isinstance(reply, ReplyError) and str(reply).startswith("NOSCRIPT")
