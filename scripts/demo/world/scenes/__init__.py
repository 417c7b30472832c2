"""Scenes: painted backdrops, each different every time, that say where things can stand in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import built, nature
from .board import Board, Places


@dataclass(frozen=True)
class Scene:
    """A kind of scene: how it is painted, and the homes of the objects that fit into it."""

    name: str
    paint: Callable[[Board, np.random.Generator], Places]
    homes: tuple[str, ...]
    noun: str  # what a caption calls the scene
    phrase: str  # where a caption says that something is
    excludes: tuple[str, ...] = ()  # kinds that have such a home, but do not belong here

    def welcomes(self, kind: str, home: str) -> bool:
        """Whether an object of this kind and home can be shown in the scene."""
        return home in self.homes and kind not in self.excludes

    def show(self, size: int, rng: np.random.Generator) -> tuple[np.ndarray, Places]:
        """A view of the scene, (size, size, 3) uint8, and where things can stand in that view."""
        zoom = rng.uniform(1, 1.3)
        corner = rng.uniform(0, 1 - 1 / zoom, 2)
        # Mostly the sky is cut off: the ground is needed to stand on.
        corner[1] = (1 - 1 / zoom) * rng.uniform(0.4, 1)
        board = Board(size, zoom, tuple(corner))
        places = self.paint(board, rng)
        pixels = board.pixels()[:, :: rng.choice([-1, 1])]
        return pixels, {home: tuple((y - corner[1]) * zoom for y in span) for home, span in places.items()}


_TOO_LARGE = ("horse", "elephant", "car", "bus", "train", "tree", "cactus", "house", "lighthouse")
_OUTSIDE = ("ground", "table", "air")
SCENES: dict[str, Scene] = {
    scene.name: scene
    for scene in (
        Scene("beach", nature.beach, (*_OUTSIDE, "water"), "a beach", "at the beach", ("fish", "train")),
        Scene("forest", nature.forest, _OUTSIDE, "a forest", "in a forest"),
        Scene("mountain", nature.mountain, _OUTSIDE, "a mountain", "in front of a mountain"),
        Scene("desert", nature.desert, _OUTSIDE, "a desert", "in the desert"),
        Scene("street", built.street, _OUTSIDE, "a street", "on a street"),
        Scene("kitchen", built.kitchen, ("ground", "table"), "a kitchen", "in a kitchen", _TOO_LARGE),
        Scene("bedroom", built.bedroom, ("ground", "table"), "a bedroom", "in a bedroom", _TOO_LARGE),
        Scene("snowfield", nature.snowfield, _OUTSIDE, "a snowfield", "in a snowfield"),
        Scene(
            "underwater",
            nature.underwater,
            ("water", "table"),
            "an underwater scene",
            "underwater",
            ("boat",),
        ),
        Scene("night", nature.night, _OUTSIDE, "a night scene", "at night"),
        Scene("farm", built.farm, _OUTSIDE, "a farm", "on a farm"),
        Scene("stadium", built.stadium, _OUTSIDE, "a stadium", "in a stadium"),
    )
}

__all__ = ["SCENES", "Board", "Places", "Scene"]
