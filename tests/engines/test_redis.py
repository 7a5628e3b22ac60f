"""The Redis engine: packets, scripts, records that are not ours, memory limits, replicas."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from typing import Any

import pytest
from tests.engines.asking import FAR, ask, close_engines, engine_of, new_op
from tests.waiting import until

from moored import ConfigurationError, CorruptRecord, OutcomeUnknown, State, Unavailable
from moored.commands import (
    Acquire,
    Add,
    Bury,
    Command,
    Drop,
    Op,
    Page,
    Patch,
    Put,
    Read,
    Record,
    Refused,
    Scan,
    Take,
    Taken,
    Written,
)
from moored.engines import redis_resp
from moored.engines.redis import RedisEngine
from moored.engines.redis_dialogue import Dialogue
from moored.engines.redis_replies import failure
from moored.engines.redis_resp import MISSING, PythonReader, ReplyError, new_reader, pack
from moored.engines.redis_scripts import scripts
from moored.errors import MooredError
from moored.testing.faults import FaultProxy, cut_after, cut_before, nth
from moored.testing.servers import RedisServer

EVERY: tuple[Command[Any], ...] = (
    Read("k"),
    Read("k", ("a",)),
    Put("k", {"a": b"1"}),
    Patch("k", {"a": b"1"}),
    Bury("k"),
    Drop("k"),
    Add("k"),
    Take("k"),
    Acquire("k"),
)
CHANGING = EVERY[2:]


@pytest.fixture(autouse=True)
def engines_are_closed() -> Iterator[None]:
    yield
    close_engines()


@pytest.fixture
def engine(redis_url: str) -> RedisEngine:
    engine = engine_of(redis_url)
    engine.connect(5)
    return engine


@pytest.fixture
def raw(redis_server: RedisServer, redis_url: str) -> Any:
    """Redis commands on the raw key ``k`` of the engine."""
    prefix = redis_url.partition("prefix=")[2]
    return lambda *words: redis_server.cli(*[f"{prefix}k" if word == "k" else word for word in words])


# --- Packets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("commands", [(each,) for each in EVERY] + [EVERY])
def test_a_step_is_one_packet_and_one_round_trip(
    redis_server: RedisServer, redis_url: str, commands: tuple[Command[Any], ...]
) -> None:
    with FaultProxy(redis_server.port) as proxy:
        engine = engine_of(proxy.url_for(redis_url))
        ask(engine, Bury("k", ttl=1), Put("loaded"))
        proxy.plan(lambda number, request: None)
        ask(engine, *commands)
        assert proxy.requests == 1


def test_a_read_is_no_script() -> None:
    with RedisServer() as server:
        engine = engine_of(server.url)
        ask(engine, Put("k", {"a": b"1"}))
        server.cli("CONFIG", "RESETSTAT")
        ask(engine, Read("k"), Read("k", ("a",)), Read("gone"))
        stats = server.cli("INFO", "commandstats")
        calls = {line.split(":")[0]: line.split("calls=")[1].split(",")[0] for line in stats.split()[2:]}
        calls.pop("cmdstat_config|resetstat", None)
        assert calls == {"cmdstat_hgetall": "2", "cmdstat_hmget": "1", "cmdstat_time": "1"}


def test_a_step_of_nothing_says_nothing() -> None:
    assert ask(engine_of("redis://127.0.0.1:1")) == []


def test_the_driver_repeats_nothing(redis_server: RedisServer, redis_url: str) -> None:
    with FaultProxy(redis_server.port) as proxy:
        engine = engine_of(proxy.url_for(redis_url))
        assert ask(engine, Add("n")) == [1]
        proxy.plan(nth(1, cut_after()), only=b"EVALSHA")
        with pytest.raises(OutcomeUnknown, match="was lost after sending"):
            ask(engine, Add("n"))
        assert proxy.fired["cut_after"] == proxy.requests == 1
        proxy.plan(None)
        assert ask(engine, Add("n")) == [3]


def test_a_question_that_was_lost_changed_nothing(redis_server: RedisServer, redis_url: str) -> None:
    with FaultProxy(redis_server.port) as proxy:
        engine = engine_of(proxy.url_for(redis_url))
        ask(engine, Read("k"))
        for fault in (cut_before(), cut_after()):
            proxy.plan(nth(1, fault), only=b"HGETALL")
            with pytest.raises(Unavailable, match="nothing was changed"):
                ask(engine, Read("k"), Scan(""))
            assert proxy.fired[fault.kind] == 1


# --- Scripts ------------------------------------------------------------------------------------


def test_scripts_that_were_flushed_are_loaded_again(redis_server: RedisServer, engine: RedisEngine) -> None:
    for total in (1, 2, 3):
        redis_server.cli("SCRIPT", "FLUSH")
        assert ask(engine, Add("n")) == [total]


def test_a_step_keeps_its_order_where_scripts_were_missing(
    redis_server: RedisServer, engine: RedisEngine
) -> None:
    redis_server.cli("SCRIPT", "FLUSH")
    nothing, written, one, dropped, end = ask(
        engine, Read("k"), Put("k", {"a": b"1"}), Read("k"), Drop("k"), Read("k")
    )
    assert (nothing, dropped, end) == (None, True, None)
    assert isinstance(written, Written)
    assert one.version == written.version


def test_what_ran_is_not_repeated_where_some_scripts_were_missing(
    redis_server: RedisServer, engine: RedisEngine
) -> None:
    ask(engine, Put("k", {"a": b"1"}))
    redis_server.cli("SCRIPT", "FLUSH")
    redis_server.cli("SCRIPT", "LOAD", scripts()[Drop].text)
    assert ask(engine, Add("n"), Drop("k"), Read("k"), Add("n")) == [1, True, None, 2]


def test_scripts_that_may_not_be_loaded_are_reported() -> None:
    with RedisServer() as server:
        server.cli("ACL", "SETUSER", "few", "on", ">few", "~*", "+@all", "-script")
        engine = engine_of(server.url.replace("redis://", "redis://few:few@"))
        with pytest.raises(Unavailable, match=r"does not permit .*\+script\|load") as caught:
            ask(engine, Add("n"))
        assert not caught.value.outage
        assert ask(engine, Read("n")) == [None]


# --- What is not ours, or damaged ---------------------------------------------------------------


@pytest.mark.parametrize(
    "foreign",
    [
        ("SET", "k", "text"),
        ("RPUSH", "k", "1", "2"),
        ("HSET", "k", "field", "value"),
        ("HSET", "k", "v", "x"),
        ("HSET", "k", "v", ""),
        ("HSET", "k", "v", "-1"),
        ("HSET", "k", "v", "1.5"),
        ("HSET", "k", "v", "7", "x", "soon"),
        ("HSET", "k", "v", "7", "x", "0x10"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("protocol", [2, 3])
def test_what_is_not_a_record_is_refused_and_left_alone(
    redis_url: str, raw: Any, foreign: tuple[str, ...], protocol: int
) -> None:
    engine = engine_of(f"{redis_url}&protocol={protocol}")
    raw(*foreign)
    before = raw("DUMP", "k")
    for command in EVERY:
        if command == Read("k", ("a",)) and foreign[-2:] == ("field", "value"):
            continue  # nobody can tell this from a record that is not there
        with pytest.raises(CorruptRecord, match="'k'"):
            ask(engine, command)
        assert raw("DUMP", "k") == before


def test_garbage_in_the_memory_of_operations_is_reported(engine: RedisEngine, raw: Any) -> None:
    raw("HSET", "k", "v", 7, "o", "garbage", ":a", 1)
    before = raw("DUMP", "k")
    for command in CHANGING:
        with pytest.raises(CorruptRecord, match="'k'"):
            ask(engine, command)
    assert raw("DUMP", "k") == before
    raw("HSET", "k", "o", ";zz:what:")
    for command in CHANGING:
        with pytest.raises(CorruptRecord, match="'k'"):
            engine.execute((command,), (Op("zz", FAR, FAR),), 5)


def test_names_that_are_no_text_are_reported(engine: RedisEngine, raw: Any) -> None:
    raw("HSET", "k", "v", 7, b":\xff", 1)
    with pytest.raises(CorruptRecord, match="'k'"):
        ask(engine, Read("k"))


@pytest.mark.parametrize("field", ["n", "f", "s", "t1000000", "@lease_until"])
def test_numbers_that_are_none_are_reported(engine: RedisEngine, field: str) -> None:
    asking: dict[str, Command[Any]] = {
        "n": Add("k"),
        "f": Patch("k", newer=("f", 1, False)),
        "s": Patch("k", ttl=1, within="s"),
        "t1000000": Take("k"),
        "@lease_until": Acquire("k"),
    }
    ask(engine, Put("k", {field: b"1e9"}))
    (before,) = ask(engine, Read("k"))
    with pytest.raises(CorruptRecord, match="'k'"):
        ask(engine, asking[field])
    (after,) = ask(engine, Read("k"))
    assert after.version == before.version


def test_one_damaged_record_keeps_no_other_command_from_its_answer(engine: RedisEngine, raw: Any) -> None:
    raw("SET", "k", "text")
    with pytest.raises(CorruptRecord, match="'k'"):
        ask(engine, Add("n"), Read("k"), Patch("k", {"a": b"1"}), Read("k", ("a",)), Add("n"))
    assert ask(engine, Add("n"), Read("nothing")) == [3, None]


def test_keys_that_are_no_text_are_not_listed(
    redis_server: RedisServer, redis_url: str, engine: RedisEngine
) -> None:
    redis_server.cli("SET", redis_url.partition("prefix=")[2].encode() + b"\xff", 1)
    ask(engine, Put("k"))
    found, cursor = set[str](), ""
    while True:
        (page,) = ask(engine, Scan("", cursor))
        assert isinstance(page, Page)
        found |= set(page.keys)
        if not (cursor := page.cursor):
            break
    assert found == {"k"}


# --- Time -----------------------------------------------------------------------------------------


def test_the_clock_is_the_servers_and_never_ahead(redis_server: RedisServer, redis_url: str) -> None:
    def server_time() -> int:
        seconds, micros = redis_server.cli("TIME")
        return int(seconds) * 1_000_000 + int(micros)

    engine = engine_of(redis_url)
    assert engine.time() is None
    engine.connect(5)
    for command in EVERY:
        earlier = server_time()
        ask(engine, command)
        known = engine.time()
        assert known is not None
        assert earlier <= known <= server_time()


def test_the_clock_follows_a_server_that_steps() -> None:
    dialogue = Dialogue("Redis", "", 0, None)
    for seconds in (1000, 5000, 300):
        talk = dialogue.greet(False)
        assert next(talk) == (pack(["TIME"]), 1)
        with pytest.raises(StopIteration):
            talk.send([[b"%d" % seconds, b"7"]])
        known = dialogue.time()
        assert known is not None
        assert 0 <= known - seconds * 1_000_000 - 7 < 1_000_000
        step, micros = (Add("n"),), seconds * 1_000_000 + 50
        adding = dialogue.carry_out(step, (new_op(),), 1)
        next(adding)
        with pytest.raises(StopIteration):
            adding.send([[b"ok", micros, 1]])
        known = dialogue.time()
        assert known is not None
        assert 0 <= known - micros < 1_000_000


def test_the_servers_own_expiry_cleans_up(engine: RedisEngine, raw: Any) -> None:
    def left() -> int:
        milliseconds: int = raw("PTTL", "k")
        return milliseconds

    for command, most in (
        (Put("k"), -1),
        (Add("k", ttl=9), -1),
        (Patch("k", ttl=50_000), 50_000),
        (Patch("k", {"a": b"1"}), 50_000),
        (Acquire("k", ttl=10_000), 70_000),
        (Put("k", ttl=40_000), 40_000),
        (Take("k", ((30_000_000, 1),)), 30_000),
        (Put("k"), -1),
        (Acquire("k", ttl=10_000), -1),
        (Drop("k"), -2),
        (Acquire("k", ttl=10_000), 70_000),
        (Bury("k", ttl=20_000), 20_000),
    ):
        ask(engine, command)
        assert most - 5_000 < left() <= most + 1 or left() == most < 0, command
        (record,) = ask(engine, Read("k"))
        if most > 0:
            assert raw("PEXPIRETIME", "k") == record.expires
    raw("DEL", "k")
    ask(engine, Add("k", ttl=60_000))
    assert 0 < left() <= 60_000


# --- Limits ---------------------------------------------------------------------------------------


def fill(server: RedisServer, size: int) -> None:
    while True:
        server.cli("RPUSH", "ballast", "x" * size)


@pytest.fixture(scope="module")
def small() -> Iterator[RedisServer]:
    with RedisServer("--maxmemory", "3mb", "--maxmemory-policy", "noeviction") as server:
        yield server


@pytest.fixture
def full(small: RedisServer) -> RedisServer:
    """A server at its maxmemory, with records ``k0`` to ``k99`` in it and no room for others."""
    small.cli("FLUSHALL")
    engine = engine_of(small.url)
    engine.connect(5)
    for number in range(100):
        ask(engine, Put(f"k{number}", {"a": b"1", "b": b"2"}))
    for size in (100_000, 1000, 10):
        with pytest.raises(RuntimeError, match="OOM"):
            fill(small, size)
    return small


def test_a_full_server_takes_nothing_new(full: RedisServer) -> None:
    engine = engine_of(full.url)
    for command in (Put("new"), Patch("k0", {"c": b"3"}), Add("n"), Acquire("new")):
        with pytest.raises(Unavailable, match="memory limit") as caught:
            ask(engine, command)
        assert not caught.value.outage
    assert ask(engine, Read("new"), Read("n")) == [None, None]


def test_a_full_server_lets_sessions_end(full: RedisServer) -> None:
    engine = engine_of(full.url)
    for number in range(50):
        assert ask(engine, Bury(f"k{number}", note=b"why")) == [True]
        assert ask(engine, Bury(f"never{number}")) == [False]
    (record,) = ask(engine, Read("k49"))
    assert record.dead


def test_a_full_server_lets_fields_be_removed_and_replaced(full: RedisServer) -> None:
    engine = engine_of(full.url)
    for number in range(50, 60):
        (written,) = ask(engine, Patch(f"k{number}", {"b": b"3"}, ("a", "b")))
        assert isinstance(written, Written)
        (written,) = ask(engine, Put(f"k{number}", {"b": b"4"}))
        assert isinstance(written, Written)
    assert full.cli("HGET", "moored:k59", ":b") == "4"
    assert ask(engine, Drop("k60")) == [True]


def test_a_step_that_was_carried_out_in_part_is_of_unknown_outcome(full: RedisServer) -> None:
    engine = engine_of(full.url)
    with pytest.raises(OutcomeUnknown, match=r"a part of the step was carried out.*memory limit"):
        ask(engine, Bury("k70"), Put("new"))
    with pytest.raises(Unavailable, match="memory limit"):
        ask(engine, Bury("k71", version=7), Put("new"))


def test_a_server_that_evicts_is_refused_unless_allowed() -> None:
    with RedisServer("--maxmemory-policy", "volatile-lru") as server:
        engine = engine_of(server.url)
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=r"volatile-lru.*CONFIG SET"):
                engine.connect(5)
        with pytest.raises(ConfigurationError, match=r"evicting=allow"), State(server.url) as state:
            state.counter("n").add()
        with State(f"{server.url}?evicting=allow") as state:
            assert state.counter("n").add() == 1
        server.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
        engine.connect(5)
        server.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        engine.connect(5)  # once is enough


def test_a_server_that_does_not_tell_its_policy_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer() as server:
        server.cli("ACL", "SETUSER", "few", "on", ">few", "~*", "+@all", "-info")
        engine = engine_of(server.url.replace("redis://", "redis://few:few@"))
        with caplog.at_level(logging.WARNING, "moored"):
            engine.connect(5)
        assert "does not tell its maxmemory-policy" in caplog.text
        assert engine.time()


# --- Replicas -------------------------------------------------------------------------------------


def test_replicas_that_confirm(redis_url: str) -> None:
    with RedisServer() as primary, RedisServer(replica_of=primary) as replica:
        engine = engine_of(primary.url, wait=1)
        assert ask(engine, Add("n"), Read("n"))[0] == 1
        assert replica.cli("HGET", "moored:n", ":n") == "1"


def test_replicas_that_do_not_confirm() -> None:
    with RedisServer() as primary, RedisServer(replica_of=primary) as replica:
        engine = engine_of(primary.url, wait=1)
        ask(engine, Add("n"))
        replica.pause()
        op = new_op()
        for _ in range(2):  # a repeat on another connection must not be told otherwise
            with pytest.raises(OutcomeUnknown, match=r"has made the change, but 0 of the 1 replicas"):
                engine.execute((Add("n"),), (op,), 2)
            engine.close()
        assert ask(engine, Read("n"))[0].fields["n"] == b"2", "questions do not wait"
        (refused,) = ask(engine, Add("n", high=2), timeout=2)
        assert isinstance(refused, Refused), "nothing was changed that could be lost"
        replica.resume()
        assert engine.execute((Add("n"),), (op,), 5) == [2]


def test_no_replicas_at_all(redis_url: str) -> None:
    engine = engine_of(f"{redis_url}&wait=2")
    with pytest.raises(OutcomeUnknown, match=r"0 of the 2 replicas"):
        ask(engine, Put("k"), timeout=2)


def test_a_read_only_replica_is_left_when_it_is_replaced() -> None:
    with RedisServer() as primary, RedisServer(replica_of=primary) as replica:
        engine = engine_of(replica.url)
        assert ask(engine, Read("n")) == [None]
        with pytest.raises(Unavailable, match="read-only replica") as caught:
            ask(engine, Add("n"))
        assert not caught.value.outage
        until(lambda: "cmd=evalsha" not in replica.cli("CLIENT", "LIST"), "the end of the script")
        replica.cli("REPLICAOF", "NO", "ONE")
        assert ask(engine, Add("n")) == [1]


# --- Error replies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "error", "outage"),
    [
        ("LOADING Redis is loading the dataset in memory", Unavailable, True),
        ("BUSY Redis is busy running a script.", Unavailable, True),
        ("MASTERDOWN Link with MASTER is down", Unavailable, True),
        ("CLUSTERDOWN The cluster is down", Unavailable, True),
        ("TRYAGAIN Multiple keys request during rehashing of slot", Unavailable, True),
        ("NOREPLICAS Not enough good replicas to write.", Unavailable, True),
        ("ERR max number of clients reached", Unavailable, True),
        ("READONLY You can't write against a read only replica.", Unavailable, False),
        ("ERR Error running script (call to f_1): @user_script:1: -READONLY You can't", Unavailable, False),
        ("OOM command not allowed when used memory > 'maxmemory'.", Unavailable, False),
        ("ERR Error running script (call to f_1): @user_script: 30: -OOM command not", Unavailable, False),
        ("MISCONF Redis is configured to save RDB snapshots", Unavailable, False),
        ("NOPERM this user has no permissions to run the 'evalsha' command", Unavailable, False),
        ("MOVED 3999 127.0.0.1:6381", Unavailable, False),
        ("DENIED Redis is running in protected mode", Unavailable, False),
        ("ERR unknown command 'EVALSHA', with args beginning with: 'secret'", Unavailable, False),
        ("NOAUTH Authentication required.", ConfigurationError, None),
        ("WRONGPASS invalid username-password pair or user is disabled.", ConfigurationError, None),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", CorruptRecord, None),
        ("ERR Error running script (call to f_1): @user_script:6: WRONGTYPE Op", CorruptRecord, None),
        ("ERR user_script:12: attempt to compare nil with number script: 1", OutcomeUnknown, None),
    ],
)
def test_error_replies(text: str, error: type[MooredError], outage: bool | None) -> None:
    meant = failure("Redis at h:1", "k", ReplyError(text), True)
    assert type(meant) is error
    assert getattr(meant, "outage", None) is outage
    assert "secret" not in str(meant)
    assert "Redis at h:1" in str(meant) or "'k'" in str(meant)


# --- The wire protocol ------------------------------------------------------------------------------

WIRE: list[tuple[bytes, Any]] = [
    (b"+OK\r\n", b"OK"),
    (b":-12\r\n", -12),
    (b"$5\r\na\r\nbc\r\n", b"a\r\nbc"),
    (b"$0\r\n\r\n", b""),
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"*0\r\n", []),
    (b"*3\r\n$1\r\na\r\n*2\r\n:1\r\n$-1\r\n+x\r\n", [b"a", [1, None], b"x"]),
    (b"_\r\n", None),
    (b"#t\r\n", True),
    (b",1.5\r\n", 1.5),
    (b"%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n*1\r\n:2\r\n", {b"a": 1, b"b": [2]}),
    (b"=8\r\ntxt:text\r\n", b"text"),
]


@pytest.mark.parametrize("make", [new_reader, PythonReader])
def test_replies_are_read_however_they_arrive(make: Any) -> None:
    chance = random.Random(1)
    for _ in range(200):
        chosen = chance.choices(WIRE, k=5)
        data = b"".join(sent for sent, _ in chosen)
        reader, replies, at = make(), [], 0
        while at < len(data):
            size = chance.choice((1, 2, 7, 100))
            reader.feed(data, at, len(data[at : at + size]))
            at += size
            while (reply := reader.gets()) is not MISSING:
                replies.append(reply)
        assert replies == [meant for _, meant in chosen]


@pytest.mark.parametrize("make", [new_reader, PythonReader])
def test_errors_are_values_and_nonsense_is_an_error(make: Any) -> None:
    reader, data = make(), b"*2\r\n-ERR no\r\n:1\r\n-OOM full\r\n"
    reader.feed(data, 0, len(data))
    first, second = reader.gets(), reader.gets()
    assert isinstance(first[0], ReplyError)
    assert (str(first[0]), first[1], str(second)) == ("ERR no", 1, "OOM full")
    for nonsense in (b"?what\r\n", b"$x\r\n", b":1.5\r\n"):
        reader = make()
        reader.feed(nonsense, 0, len(nonsense))
        with pytest.raises(ConnectionError):
            reader.gets()


@pytest.mark.parametrize("protocol", [2, 3])
def test_it_works_without_hiredis(redis_url: str, monkeypatch: pytest.MonkeyPatch, protocol: int) -> None:
    monkeypatch.setattr(redis_resp, "Reader", None)
    engine = engine_of(f"{redis_url}&protocol={protocol}")
    engine.connect(5)
    fields = {f"f{number}": b"\r\n" * number for number in range(1000)}
    _, record, taken, page = ask(engine, Put("k", fields), Read("k"), Take("t"), Scan("", limit=1000))
    assert isinstance(record, Record)
    assert record.fields == fields
    assert isinstance(taken, Taken)
    assert isinstance(page, Page)
    engine.close()
