"""A Redis server: what it would lose, evict or refuse, and who else can reach it.

Asks on a connection of its own, opened as the engine opens its own: with a lent client's
settings too.  The configuration is read where the user may; the rest says INFO.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from msgspec import Struct

from moored.cli.checks import Finding, error, note, ok, warning
from moored.cli.words import exactly, size
from moored.engines.redis import RedisEngine
from moored.engines.redis_replies import info_members
from moored.engines.redis_resp import ReplyError, pack
from moored.errors import MooredError
from moored.state import State

OLDEST = (6, 2)  # what is older is not tested and gets no fixes
PATIENCE = 2.0  # seconds for each exchange
FULL, NEARLY = 0.95, 0.8  # of maxmemory: an error, a warning
SKEW, SKEW_FAR = 2.0, 60.0  # seconds: a note, a warning
ASKED = ("appendonly", "appendfsync", "save")


class Server(Struct, frozen=True):
    """What a server said of itself; ``config`` is None where it may not be read."""

    place: str
    info: Mapping[str, str]
    config: Mapping[str, str] | None
    ahead: float  # seconds that its clock is before ours
    wait: int
    evicting: bool  # allowed by the URL
    local: bool
    tls: bool
    password: bool


def check(state: State) -> Iterator[Finding]:
    """Everything about the server; nothing, if it cannot be reached."""
    try:
        server = ask(state)
    except (MooredError, OSError):  # the engine has told it
        return
    if server.info:
        yield role(server)
        yield persistence(server)
        yield eviction(server)
        yield memory(server)
        yield replicas(server)
    yield clock(server.ahead)
    yield encryption(server)
    yield password(server)
    yield openness(server)


# --- Asking ---------------------------------------------------------------------------------


def ask(state: State) -> Server:
    """Have the server tell about itself.  Raises Unavailable, ConfigurationError, OSError."""
    engine = state.binding.engine
    assert isinstance(engine, RedisEngine)
    connection, way = engine.own_connection(PATIENCE), engine.way
    try:
        packet = pack(["INFO"]) + b"".join([pack(["CONFIG", "GET", name]) for name in ASKED])
        info, *config = connection.exchange(packet, 1 + len(ASKED), time.monotonic() + PATIENCE)
        before = time.time()
        (told,) = connection.exchange(pack(["TIME"]), 1, time.monotonic() + PATIENCE)
        ours = (before + time.time()) / 2
    finally:
        connection.close()
    return Server(
        way.place,
        {} if isinstance(info, ReplyError) else info_members(info),
        None if any(isinstance(reply, ReplyError) for reply in config) else _pairs(config),
        0.0 if isinstance(told, ReplyError) else int(told[0]) + int(told[1]) / 1e6 - ours,
        state.url.options.get("wait", 0),
        state.url.options.get("evicting") == "allow",
        way.host is None or _loopback(way.host),
        way.tls,
        way.password,
    )


def _pairs(replies: list[Any]) -> dict[str, str]:
    """What CONFIG GET said: a map in RESP3, else names and values in turn."""
    found: dict[str, str] = {}
    for reply in replies:
        flat = [each for pair in reply.items() for each in pair] if isinstance(reply, dict) else reply
        words = [word.decode(errors="replace") for word in flat]
        found |= dict(zip(words[::2], words[1::2], strict=True))
    return found


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.rstrip(".").endswith("localhost")


# --- Judging --------------------------------------------------------------------------------


def role(server: Server) -> Finding:
    """Is it one that takes writes, and not too old?"""
    id, info = "MRD-D201", server.info
    version = info.get("valkey_version") or info.get("redis_version", "?")
    name = "Valkey" if "valkey_version" in info else "version"
    what = f"{server.place} is {name} {version}"
    if info.get("role") == "slave":
        return error(id, f"{what}, and a replica: it takes no changes.", "Let the URL name the primary.")
    if info.get("redis_mode") == "cluster" or info.get("cluster_enabled") == "1":
        return error(
            id, f"{what}, and a node of a Redis Cluster.", "Let the URL name a server that is not clustered."
        )
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < OLDEST:
        return warning(id, f"{what}, which is too old to be tested.", "Use 6.2 or newer.")
    return ok(id, f"{what}.")


def persistence(server: Server) -> Finding:
    """What a crash of the server can lose."""
    id, info, config = "MRD-D202", server.info, server.config or {}
    failed = [
        name for name in ("aof_last_write_status", "rdb_last_bgsave_status") if info.get(name, "ok") != "ok"
    ]
    if failed:
        return error(
            id,
            f"Redis could not save its data to disk lately ({failed[0]}).",
            "Look at its log and its disk.",
        )
    if info.get("aof_enabled") == "1":
        return _journal(id, config.get("appendfsync"))
    if "save" not in config:
        return note(
            id,
            "Redis keeps no journal (appendonly no); whether it makes snapshots, it does not tell.",
            "Ask whoever runs it what a crash can lose.",
        )
    rules = _snapshots(config["save"])
    if not rules:
        return warning(
            id,
            "Redis writes nothing to disk: after a restart of it everybody is signed out, and counters begin"
            " anew.",
            "Set appendonly yes (CONFIG SET appendonly yes, and in redis.conf).",
        )
    return warning(
        id,
        f"A crash of Redis can lose every change since the last snapshot, which is made {rules}.",
        "Set appendonly yes (CONFIG SET appendonly yes, and in redis.conf): then it is about a second's.",
    )


def _journal(id: str, fsync: str | None) -> Finding:
    match fsync:
        case "always":
            return ok(id, "A crash of Redis loses nothing that was acknowledged (appendfsync always).")
        case "everysec":
            return note(
                id,
                "A crash of Redis's host can lose the last second, sign-outs too (appendfsync everysec).",
                "Where that matters, set appendfsync always; it is slower.",
            )
        case "no":
            return warning(
                id,
                "A crash of Redis's host can lose about the last half minute (appendfsync no).",
                "Set appendfsync everysec.",
            )
    return note(
        id,
        "Redis keeps a journal (appendonly yes); how often it reaches the disk, it does not tell.",
        "Ask whoever runs it for appendfsync.",
    )


def _snapshots(save: str) -> str:
    numbers = save.split()
    pairs = zip(numbers[::2], numbers[1::2], strict=False)
    return ", ".join([f"{exactly(int(s))} after {int(n):,} change{'s' * (n != '1')}" for s, n in pairs])


def eviction(server: Server) -> Finding:
    """Does it throw records away when its memory is full?"""
    id, policy = "MRD-D203", server.info.get("maxmemory_policy")
    if policy == "noeviction":
        return ok(id, "Redis evicts nothing (maxmemory-policy noeviction).")
    if policy is None:
        return note(id, "Redis does not tell its maxmemory-policy.", "See that it is noeviction.")
    tell = warning if server.evicting else error
    return tell(
        id,
        f"Redis throws records away when its memory is full (maxmemory-policy {policy}): live sessions and"
        " counters vanish.",
        "CONFIG SET maxmemory-policy noeviction, and in redis.conf.",
    )


def memory(server: Server) -> Finding:
    """Is there room for more records?"""
    id, used, most = "MRD-D204", *[int(server.info.get(name, 0)) for name in ("used_memory", "maxmemory")]
    if not most:
        return ok(id, f"Redis uses {size(used)} of memory, and has no limit of its own.")
    what = f"Redis uses {size(used)} of memory of {size(most)} ({used / most:.0%})."
    cure = "Raise maxmemory, or let sessions end sooner: at the limit nothing new can be saved."
    if used >= FULL * most:
        return error(id, what, cure)
    return warning(id, what, cure) if used >= NEARLY * most else ok(id, what)


def replicas(server: Server) -> Finding:
    """Would a failover undo what was acknowledged?"""
    id, wait = "MRD-D205", server.wait
    number = sum(
        name.startswith("slave") and name[5:].isdecimal() and "state=online" in value
        for name, value in server.info.items()
    )
    have = f"{number} replica{'' if number == 1 else 's'}"
    if wait > number:
        return error(
            id,
            f"?wait={wait} asks for {wait}, and Redis has {have}: every change is reported as unknown.",
            "Bring replicas back, or lower ?wait.",
        )
    if number and not wait:
        return note(
            id,
            f"Redis has {have}, and changes do not wait for any: a failover can undo the last ones, sign-outs"
            " among them.",
            "Add ?wait=1 to the URL where that matters.",
        )
    return ok(id, f"Redis has {have}; a change waits for {wait}." if number else "Redis has no replicas.")


def clock(ahead: float) -> Finding:
    """Does it agree with ours?"""
    id = "MRD-D206"
    if abs(ahead) < SKEW:
        return ok(id, "The clocks of Redis and of this host agree.")
    tell = warning if abs(ahead) >= SKEW_FAR else note
    return tell(
        id,
        f"The clock of Redis is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} this host's.",
        "Have both set by NTP. Deadlines go by the clock of Redis, instants are shown by it.",
    )


def encryption(server: Server) -> Finding:
    """Can others on the network listen?"""
    id = "MRD-D207"
    if server.tls:
        return ok(id, "The way to Redis is encrypted (TLS).")
    if server.local:
        return ok(id, "Redis is on this host.")
    return warning(
        id,
        "The way to Redis is not encrypted: who can listen on it reads sessions and the password.",
        "Use rediss: (TLS), if the network is not your own.",
    )


def password(server: Server) -> Finding:
    """May anybody who can reach it read and write?"""
    id = "MRD-D208"
    if server.password:
        return ok(id, "Redis asks for a password.")
    cure = "Set one (requirepass, or an ACL user), and put it in MOORED_URL."
    if server.local:
        return note(id, "Redis asks for no password: every user of its host can read all sessions.", cure)
    return warning(id, "Redis asks for no password: who can reach it can read and end all sessions.", cure)


def openness(server: Server) -> Finding:
    """Could all of this be seen?"""
    id = "MRD-D209"
    if not server.info:
        return note(
            id, "This user may not read INFO: most of what there is to see was not.", "Permit it: +info."
        )
    if server.config is None:
        return note(
            id, "This user may not read the configuration of Redis.", "Permit it, if you like: +config|get."
        )
    return ok(id, "The configuration of Redis could be read.")
