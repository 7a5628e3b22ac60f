"""Pickles that would do something, each by another way, if Python's ``pickle`` read them.

So would many if it was only told which names to look up (``Unpickler.find_class``).
"""

from __future__ import annotations

import builtins
import collections
import copyreg
import datetime as dt
import functools
import io
import operator
import os
import pickle
import struct
import subprocess
import tempfile
import types
from typing import Any
from zoneinfo import ZoneInfo


class Call:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def call(function: Any, *arguments: Any, protocol: int = 4) -> bytes:
    return pickle.dumps(Call(function, *arguments), protocol)


class Plain:
    pass


def text(words: str) -> bytes:
    data = words.encode()
    return b"\x8c" + bytes([len(data)]) + data


def name(module: str, attribute: str) -> bytes:
    return text(module) + text(attribute) + b"\x93"


def program(*parts: bytes) -> bytes:
    return b"\x80\x04" + b"".join(parts) + b"."


SYSTEM = vars(os)["system"]
TOUCHED = f"{tempfile.gettempdir()}/moored-test-unpickle-{os.getpid()}"
DATETIME, UUID_, TIMEZONE = name("datetime", "datetime"), name("uuid", "UUID"), name("datetime", "timezone")
GETATTR, ZONE = name("builtins", "getattr"), name("zoneinfo", "ZoneInfo")
SPAN = name("datetime", "timedelta")
DAY = b"C\x0a\x07\xea\x01\x02\x00\x00\x00\x00\x00\x00"  # the second of January 2026, as datetime has it


def in_utc(*maker: bytes) -> bytes:
    """A date in the zone that ``maker`` makes of the key UTC."""
    return program(DATETIME, DAY, *maker, text("UTC"), b"K\x01\x86R\x86R")


ATTACKS: dict[str, bytes] = {
    "os.system": call(SYSTEM, f"touch {TOUCHED}"),
    "os.system in protocol 3": call(SYSTEM, f"touch {TOUCHED}", protocol=3),
    "os.system in protocol 0": call(SYSTEM, f"touch {TOUCHED}", protocol=0),
    "posix.system by text": f"cposix\nsystem\n(S'touch {TOUCHED}'\ntR.".encode(),
    "subprocess": call(subprocess.Popen, ["touch", TOUCHED]),
    "eval": call(builtins.eval, f"open({TOUCHED!r}, 'w')"),
    "exec": call(builtins.exec, f"open({TOUCHED!r}, 'w')"),
    "import": call(builtins.__import__, "antigravity"),
    "open": call(io.open, TOUCHED, "w"),
    "getattr": call(builtins.getattr, dt.datetime, "now"),
    "getattr of what getattr made": call(getattr, Call(getattr, ZoneInfo, "_unpickle"), "__globals__"),
    "getattr of ZoneInfo": call(getattr, ZoneInfo, "__init_subclass__"),
    "getattr of a class of ours": in_utc(GETATTR, DATETIME, text("_unpickle"), b"\x86R"),
    "getattr of another name": in_utc(GETATTR, ZONE, text("from_file"), b"\x86R"),
    "dotted name": program(name("datetime", "datetime.fromtimestamp"), b"K\x00\x85R"),
    "dotted module": program(name("datetime.datetime", "fromtimestamp"), b"K\x00\x85R"),
    "dotted builtins": program(name("builtins", "set.__class__.__base__"), b")R"),
    "name of a name": program(name("zoneinfo", "ZoneInfo._unpickle.__func__"), text("UTC"), b"K\x01\x86R"),
    "zone outside": program(name("zoneinfo", "ZoneInfo._unpickle"), text("../../etc/passwd"), b"K\x01\x86R"),
    "zone by path": program(name("zoneinfo", "ZoneInfo._unpickle"), text("/etc/passwd"), b"K\x01\x86R"),
    "names that are no text": program(b"N", b"N", b"\x93"),
    "names that are numbers": program(b"K\x01", b"K\x02", b"\x93"),
    "unhashable names": program(b"]", b"]", b"\x93"),
    "reconstructor": call(copyreg._reconstructor, Plain, object, None),  # type: ignore[attr-defined]
    "newobj": program(name("copyreg", "__newobj__"), name("builtins", "object"), b"\x85R"),
    "object of a class": pickle.dumps(Plain(), 5),
    "a class": pickle.dumps(Plain, 5),
    "class as value": program(b"}", text("a"), DATETIME, b"s"),
    "class in a list": program(b"]", DATETIME, b"a"),
    "getter": call(operator.attrgetter, ("system",)),
    "partial": pickle.dumps(functools.partial(print, "x"), 5),
    "namespace": pickle.dumps(types.SimpleNamespace(a=1), 5),
    "complex": pickle.dumps(1j, 5),
    "bytearray": pickle.dumps(bytearray(b"x"), 5),
    "range": pickle.dumps(range(3), 5),
    "deque": pickle.dumps(collections.deque([1]), 5),
    "keyword arguments": program(DATETIME, b")", b"}", b"\x92"),
    "persistent id": b"\x80\x04Pabc\n.",
    "persistent id of the stack": program(text("abc"), b"Q"),
    "extension 1": b"\x80\x04\x82\x01.",
    "extension 2": b"\x80\x04\x83\x01\x01.",
    "extension 4": b"\x80\x04\x84\x01\x01\x01\x01.",
    "buffer outside": b"\x80\x05\x97.",
    "instance of Python 2": b"\x80\x04(i__main__\nPlain\n.",
    "object of Python 2": b"\x80\x04(cbuiltins\nset\no.",
    "text of Python 2": b"\x80\x02U\x03abc.",
    # With the classes' own names, what may be done to them is still bounded.
    "state of a class": program(UUID_, b"N}", text("__init__"), b"Ns", b"\x86b"),
    "state of a name": program(UUID_, b"}", text("make"), b"Nsb"),
    "state of a dict": program(b"}", b"}", text("a"), b"Nsb"),
    "state of a date": program(name("datetime", "date"), b"C\x04\x07\xea\x01\x02\x85R", b"}b"),
    "state twice": program(UUID_, b")\x81", b"}", text("int"), b"K\x01sb", b"}", text("int"), b"K\x02sb"),
    "UUID without state": program(UUID_, b")\x81"),
    "UUID in a set before its state": program(b"\x8f(", UUID_, b")\x81", b"\x90"),
    "UUID of text": program(UUID_, b")\x81", b"}", text("int"), text("x"), b"sb"),
    "UUID too large": program(UUID_, b")\x81", b"}", text("int"), b"\x8a\x11" + b"\x01" * 17, b"sb"),
    "UUID by call": program(UUID_, text("12345678-1234-4321-8888-0123456789ab"), b"\x85R"),
    "date of numbers": program(DATETIME, b"M\xea\x07K\x01K\x02\x87R"),
    "date of text": program(DATETIME, text("x" * 10), b"\x85R"),
    "date without month": program(DATETIME, b"C\x0a\x07\xea\x00\x02\x00\x00\x00\x00\x00\x00\x85R"),
    "date with day 255": program(DATETIME, b"C\x0a\x07\xea\x01\xff\x00\x00\x00\x00\x00\x00\x85R"),
    "date in year 0": program(DATETIME, b"C\x0a\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x85R"),
    "date with another tzinfo": program(DATETIME, DAY, text("UTC"), b"\x86R"),
    "date with a class as tzinfo": program(DATETIME, DAY, TIMEZONE, b"\x86R"),
    "short date": program(DATETIME, b"C\x01x\x85R"),
    "zone of a day": program(TIMEZONE, SPAN, b"K\x01K\x00K\x00\x87R\x85R"),
    "span of floats": program(SPAN, b"G" + struct.pack(">d", 1.5) + b"K\x00K\x00\x87R"),
    "span too long": program(SPAN, b"\x8a\x08" + b"\x7f" * 8 + b"K\x00K\x00\x87R"),
    "Decimal of a tuple": program(name("decimal", "Decimal"), b"K\x00K\x01\x85K\x00\x87\x85R"),
    "Decimal that is none": program(name("decimal", "Decimal"), text("abc"), b"\x85R"),
    "Markup of a list": program(name("markupsafe", "Markup"), b"]\x85\x81"),
    "set of text": program(name("builtins", "set"), text("abc"), b"\x85R"),
    "list by call": program(name("builtins", "list"), b"]\x85R"),
    "default of eval": program(name("collections", "defaultdict"), name("builtins", "eval"), b"\x85R"),
    "default of getattr": program(name("collections", "defaultdict"), name("builtins", "getattr"), b"\x85R"),
    "ordered from another": program(name("collections", "OrderedDict"), b"]\x85R"),
    "arguments that are no tuple": program(name("builtins", "set"), b"]R"),
    "call of a value": program(text("x"), b")R"),
    "unhashable key": program(b"}]Ns"),
    "unhashable member": program(b"\x8f(]\x90"),
    "key without value": program(b"}(", text("a"), b"u"),
    "append to a dict": program(b"}Na"),
    "append to a tuple": program(b")Na"),
    "item of a list": program(b"]NNs"),
    "member of a dict": program(b"}(N\x90"),
    # Broken stacks.
    "empty": b"",
    "only a stop": b".",
    "nothing": program(),
    "too much": program(b"NN"),
    "open mark": program(b"(N"),
    "no mark": program(b"t"),
    "below the mark": program(b"N(\x85t"),
    "append below the mark": program(b"](Na"),
    "memo that is not": program(b"h\x07"),
    "memo of nothing": program(b"\x94N"),
    "no end": b"\x80\x04N",
    "behind the end": program(b"N") + b"x",
    "second pickle": program(b"N") + program(b"N"),
    "protocol 6": b"\x80\x06N.",
    "protocol 255": b"\x80\xffN.",
    "unknown instruction": b"\x80\x04\xff.",
    "length beyond the end": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"x.",
    "text beyond the end": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"x.",
    "negative length": b"\x80\x04\x8b" + struct.pack("<i", -1) + b".",
    "text that is none": b"\x80\x04\x8c\x01\xff.",
}  # fmt: skip
