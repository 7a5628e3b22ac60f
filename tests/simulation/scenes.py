"""Every scene, by name."""

from __future__ import annotations

from tests.simulation import (  # noqa: F401 - each adds its scenes to the list
    scenes_changes,
    scenes_commands,
    scenes_counter,
    scenes_ending,
    scenes_saving,
    scenes_signing,
)
from tests.simulation.scene import SCENES

__all__ = ["SCENES"]
