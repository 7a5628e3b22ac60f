"""Every scene, by name."""

from __future__ import annotations

from importlib import import_module

from tests.simulation.scene import SCENES

__all__ = ["SCENES"]

for part in ("counter", "commands", "saving", "changes", "signing", "ending", "remembering", "adopting"):
    import_module(f"tests.simulation.scenes_{part}")
