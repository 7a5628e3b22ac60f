"""The list of all scenes, in the order of their files."""

from __future__ import annotations

from moored.testing.simulate import Scene

SCENES: dict[str, Scene] = {}


def scene(story: Scene) -> Scene:
    """Add a scene to the list."""
    assert story.__name__ not in SCENES
    SCENES[story.__name__] = story
    return story
