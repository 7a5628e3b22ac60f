"""One play of a simulation: an engine, a clock, processes with actors in them, and what can go wrong.

A world is a runner like those of ``moored.run``: actors hand it the attempts that the shipped
policy makes of their commands, and it decides whose command is carried out next and what
becomes of it.  Every decision is a *choice*, a small integer; 0 is "no surprise".  Nothing
else varies, so the list of choices replays a run exactly.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeVar

from msgspec import Struct, structs

from moored.commands import Command, Enter, Op, Outside, Record, Refused, Send, Sleep
from moored.engines.memory import MemoryEngine
from moored.errors import OutcomeUnknown, Unavailable
from moored.operation import Awaiting, Binding
from moored.run import Place, Program
from moored.testing.actors import Actor, Cancelled, Clock, Fixed, Outcome, Process

T = TypeVar("T")

LOST: Final = "lost"  # the request never arrived, and the client knows
UNANSWERED: Final = "unanswered"  # carried out, but the answer was lost
LATE: Final = "late"  # the client was told nothing; carried out later, or never
STALLED: Final = "stalled"  # as late, and the client waits until its deadline before it gives up
CRASH: Final = "crash"  # carried out, and the client's process died before the answer came
CANCELLED: Final = "cancelled"  # carried out, and the client's task was cancelled before the answer came
FAULTS: Final = (LOST, UNANSWERED, LATE, STALLED, CRASH, CANCELLED)

STEP: Final = 300  # microseconds that a command takes
LONGEST: Final = 4_000  # choices after which a play has no end

Watcher = Callable[[str, Record | None, Record | None], object]


class NoEndError(AssertionError):
    """The actors went on for more than ``LONGEST`` choices."""


class Stage(NamedTuple):
    """What one call of ``World.run`` came to while the scene was being set up."""

    result: Any
    records: dict[str, Record]
    elapsed: int
    ahead: int
    drawn: int


class World:
    """Where a scene takes place.  ``schedule`` are the choices to take; ``chance`` takes random ones."""

    def __init__(
        self,
        schedule: Sequence[int] = (),
        chance: random.Random | None = None,
        *,
        odds: float = 0.25,
        fixed: Fixed | None = None,
        stages: list[Stage] | None = None,
        told: list[str] | None = None,
    ) -> None:
        self.clock: Clock = Clock()
        self.engine: MemoryEngine = MemoryEngine(self.clock.server)
        self.deadline: float = 2.0  # seconds that an operation of an actor has
        self.faults: tuple[str, ...] = FAULTS
        self.events: dict[str, Callable[[], object]] = {}  # each can happen once, at any moment
        self.always: Callable[[], object] | None = None  # called after every step, to check
        self.watchers: list[Watcher] = []  # told of every record that changes: key, before, after
        self.possible: tuple[str, ...] = ()  # faults and events that the scene allows
        self.fired: Counter[str] = Counter()  # surprises that happened
        self.met: Counter[tuple[type, str]] = Counter()  # commands, and how they were answered
        self.steps: Counter[str] = Counter()  # commands carried out, by actor
        self.widths: list[int] = []  # at each choice: how many ways there were
        self.taken: list[int] = []  # and which was taken
        self._schedule, self._chance = schedule, chance
        self._fixed = fixed or Fixed()
        self._fixed.count = 0
        self._odds = odds  # of a surprise, where they are random
        self._shared: dict[str, Process] = {}
        self._late: list[tuple[str, Send, int]] = []  # requests on their way: who, what, from which command
        self._cut = 0  # until when nothing reaches the engine
        self._stages, self._staged = stages, 0
        self._told = told
        self._bystander = self._process()  # runs set-up and checks
        self._acting = self._bystander
        self._actors: list[Actor] = []

    # --- For scenes -----------------------------------------------------------------------

    def run(self, program: Program[T]) -> T:
        """Run a program undisturbed, to set up or to check.

        What happens before the play is the same in every play: it is done once and remembered.
        """
        stages = self._stages
        if stages is None:
            return self._undisturbed(program)
        if self._staged < len(stages):
            program.close()
            result, records, self.clock.elapsed, self.clock.ahead, self._fixed.count = stages[self._staged]
            self.engine.records = dict(records)
        else:
            result = self._undisturbed(program)
            records = dict(self.engine.records)
            stages.append(Stage(result, records, self.clock.elapsed, self.clock.ahead, self._fixed.count))
        self._staged += 1
        return result  # type: ignore[no-any-return]

    async def call(self, program: Program[T]) -> T:
        """In an actor: one operation, under the policy of the process it is in."""
        return await self._acting.policy.around(program)

    @cached_property
    def binding(self) -> Binding[Awaiting]:
        """What handles (``Counter(world.binding, "n")``) are made with, for actors."""
        binding = Binding(self.engine, Awaiting)
        binding.carry = self.call
        return binding

    def share(self, *names: str) -> None:
        """Let the actors of those names be tasks of one process."""
        process = self._process()
        self._shared.update(dict.fromkeys(names, process))

    def queued(self) -> set[str]:
        """The actors that have entered a queue so far."""
        return {actor.name for actor in self._actors if actor.entered is not None}

    def queueing(self, key: str) -> set[str]:
        """The actors that are in a queue for ``key`` now, the first of them included."""
        found = set()
        for actor in self._actors:
            if not actor.ended and actor.entered in actor.process.queues.waiting.get(key, ()):
                found.add(actor.name)
        return found

    def jump(self, ms: int) -> None:
        """Let time pass, for everybody."""
        self.clock.elapsed += ms * 1000

    def set_clock(self, ms: int) -> None:
        """Set the server's clock forward, or back."""
        self.clock.ahead += ms * 1000

    def cut(self, ms: int) -> None:
        """Let nothing reach the engine for that long."""
        self._cut = self.clock.elapsed + ms * 1000

    def lose(self) -> None:
        """Restart the engine with everything lost."""
        for key in list(self.engine.records):
            self.evict(key)

    def evict(self, key: str) -> None:
        """Let the engine lose one record."""
        self.engine.records.pop(key, None)

    # --- Playing --------------------------------------------------------------------------

    def play(self, programs: Mapping[str, Coroutine[Any, Any, Any]]) -> dict[str, Outcome]:
        """Run the actors to their ends, as the choices say."""
        self._stages = None
        self.possible = (*self.faults, *self.events)
        for name, program in programs.items():
            process = self._shared.get(name) or self._process()
            self._actors.append(Actor(name, program, process))
        for actor in self._actors:
            self._resume(actor, None)
        current = self._actors[0]
        while True:
            waiting = self._wake()
            ready = [actor for actor in self._actors if actor.send is not None]
            if ready:
                if current.send is None:
                    current = ready[0]
                current = self._happen(current, ready, waiting)
                if self.always is not None:
                    self.always()
            elif waiting:
                self.clock.elapsed = max(self.clock.elapsed, min([actor.wakes for actor in waiting]))
            else:
                break
        while self._late:
            self._deliver(0, self._choose(2) == 1)
        return {actor.name: actor.outcome for actor in self._actors}

    def _process(self) -> Process:
        return Process(self.clock, self._fixed, self.deadline)

    def close(self) -> None:
        """Put an end to actors that a failure left where they were."""
        for actor in self._actors:
            actor.crash()

    def _wake(self) -> list[Actor]:
        """Resume those whose turn, pause or patience is over; those who wait on."""
        waiting = []
        for actor in self._actors:
            if not actor.wakes:
                continue
            place = actor.place
            if place is not None and actor.called:
                actor.place = None
                self._resume(actor, place)
            elif actor.wakes <= self.clock.elapsed:
                actor.place = None
                if place is not None:
                    place.leave()
                self._resume(actor, actor.upon, actor.upon is not None)
            if actor.wakes:
                waiting.append(actor)
        return waiting

    def _happen(self, current: Actor, ready: list[Actor], waiting: list[Actor]) -> Actor:
        """Let one thing happen, as the choice says; who moves on if nothing surprising follows."""
        faults, late, events = self.faults, len(self._late), self.events
        choice = self._choose(len(ready) + len(faults) + late + len(events) + bool(waiting))
        if choice == 0:
            self._go(current)
            return current
        if choice < len(ready):
            current = [actor for actor in ready if actor is not current][choice - 1]
            self.fired["switch"] += 1
            self._go(current)
            return current
        choice -= len(ready)
        if choice < len(faults):
            self.fired[faults[choice]] += 1
            self._fail(current, faults[choice])
            return current
        choice -= len(faults)
        if choice < late:
            self._deliver(choice)
            return current
        choice -= late
        if choice < len(events):
            name = list(events)[choice]
            self._tell("--", name)
            self.fired[name] += 1
            events.pop(name)()
            return current
        self.fired["woken"] += 1  # nobody else moves before the first pause is over
        self._tell("--", "time passes")
        self.clock.elapsed = max(self.clock.elapsed, min([actor.wakes for actor in waiting]))
        return current

    def _choose(self, width: int) -> int:
        position = len(self.widths)
        if position >= LONGEST:
            raise NoEndError(f"no end after {LONGEST} choices")
        self.widths.append(width)
        choice = 0
        if self._chance is not None:
            if width > 1 and self._chance.random() < self._odds:
                choice = self._chance.randrange(1, width)
        elif position < len(self._schedule):
            choice = self._schedule[position]
            if choice >= width:
                choice = 0
        self.taken.append(choice)
        return choice

    # --- What happens to a command ----------------------------------------------------------

    def _go(self, actor: Actor) -> None:
        """Carry the next command out; the actor goes on when all of its step are."""
        if self.clock.elapsed < self._cut:
            self._fail(actor, LOST)
            return
        send = actor.send
        assert send is not None
        at = len(actor.answers)
        self.clock.elapsed += STEP
        actor.answers.append(self._carry_out(actor.name, send.step[at], send.ops[at]))
        if at + 1 == len(send.step):
            answers, actor.answers, actor.send = actor.answers, [], None
            actor.process.learn()
            self._resume(actor, answers)

    def _fail(self, actor: Actor, fault: str) -> None:
        """Let ``fault`` happen to the next command of the actor."""
        send = actor.send
        assert send is not None
        at = len(actor.answers)
        self._tell(actor.name, f"({fault})")
        if fault in (LATE, STALLED):
            self._late.append((actor.name, send, at))
        elif fault != LOST:
            self._carry_out(actor.name, send.step[at], send.ops[at])
        self.clock.elapsed += STEP
        actor.answers, actor.send = [], None
        if fault == CRASH:
            for other in self._actors:
                if other.process is actor.process:
                    other.crash()
        elif fault == CANCELLED:
            self._resume(actor, Cancelled(), True)
        elif fault == STALLED:
            actor.wakes = self.clock.elapsed + int(send.timeout * 1_000_000)
            actor.upon = OutcomeUnknown("there was no answer in time")
        elif fault == LOST and at == 0:
            self._resume(actor, Unavailable("the request was lost"), True)
        else:
            self._resume(actor, OutcomeUnknown("the answer was lost"), True)

    def _deliver(self, which: int, never: bool = False) -> None:
        """A request that was on its way arrives, or never does."""
        name, send, at = self._late.pop(which)
        self.fired["vanished" if never else "delivered"] += 1
        self._tell(name, "(vanished)" if never else "(delivered now)")
        if not never:
            for command, op in zip(send.step[at:], send.ops[at:], strict=True):
                self._carry_out(name, command, op)

    def _carry_out(self, name: str, command: Command[Any], op: Op) -> Any:
        key, records = command.key, self.engine.records
        before = records.get(key)
        answer = self.engine.execute((command,), (op,), 2.0)[0]
        after = records.get(key)
        self.met[type(command), answer.reason if type(answer) is Refused else type(answer).__name__] += 1
        if self._told is not None:
            self._tell(name, f"{_shown(command)} -> {_shown(answer)}")
        self.steps[name] += 1
        if after is not before:
            for watcher in self.watchers:
                watcher(key, before, after)
        return answer

    # --- Actors -----------------------------------------------------------------------------

    def _resume(self, actor: Actor, value: Any, failed: bool = False) -> None:
        self._acting, before = actor.process, actor.entered
        actor.resume(value, failed)
        if actor.entered is not before:
            self.met[Enter, "queued" if actor.place else "first"] += 1

    def _undisturbed(self, program: Program[T]) -> T:
        acting, self._acting = self._acting, self._bystander
        self._bystander.learn()
        resume: Callable[[Any], Any] = (work := self._bystander.policy.around(program)).send
        value: Any = None
        try:
            while True:
                request = resume(value)
                value = None
                if type(request) is Send:
                    value = self.engine.execute(request.step, request.ops, request.timeout)
                elif isinstance(request, Sleep):
                    self.clock.elapsed += int(request.ms * 1000) + 1
                elif isinstance(request, Outside):
                    value = request.call()
                elif isinstance(request, Enter) and not request.join:
                    value = Place(self._bystander.queues, request.key, _nothing)
                self.clock.elapsed += STEP
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            self._acting = acting
            work.close()

    def _tell(self, who: str, what: str) -> None:
        if self._told is not None:
            moment = self.clock.elapsed / 1000
            self._told.append(f"{len(self.taken) - 1:4}  {moment:10.1f} ms  {who:12} {what}")


def _shown(value: object) -> str:
    """A command or an answer without what is as usual."""
    if not isinstance(value, Struct):
        return repr(value)
    usual = {field.name: field.default for field in structs.fields(value)}
    parts = [
        _shown(part) if name == "key" else f"{name}={_shown(part)}"
        for name, part in structs.asdict(value).items()
        if part != usual[name] and part != {} and name not in ("ops", "ttl", "within")
    ]
    return f"{type(value).__name__}({', '.join(parts)})"


def _nothing() -> None:
    pass
