"""The gate: whoever comes to it, a scene that cannot be run is "not run" and nothing else."""

from __future__ import annotations

import socket
import struct

import pytest

from moored.prove.gate import Gate, NotRun

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset, as when a process is killed


def come(gate: Gate, what: bytes) -> socket.socket:
    who = socket.create_connection(("127.0.0.1", gate.port))
    who.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    who.sendall(what)
    return who


@pytest.mark.parametrize("what", [b"", b"re", b"\xff\xfe\n", b"GET / HTTP/1.1\r\n"])
@pytest.mark.parametrize("dies", [True, False])
def test_who_says_something_else_or_nothing_is_nobody(what: bytes, dies: bool) -> None:
    with Gate() as gate:
        who = come(gate, what)
        if dies:
            who.close()
        with pytest.raises(NotRun, match="only 0 of 1 came as far"):
            gate.gather(1, "read", 0.5)
        who.close()


def test_who_is_killed_while_waiting_makes_it_no_proof() -> None:
    with Gate() as gate:
        who, other = come(gate, b"read\n"), come(gate, b"read\n")
        waiting = gate.gather(2, "read", 5.0)
        who.close()
        with pytest.raises(NotRun, match="1 of 2 handlers ended at the gate"):
            waiting.let_go([0.0, 0.0])
        other.close()
