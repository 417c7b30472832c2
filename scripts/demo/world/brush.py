"""A brush that paints flat shapes on a transparent layer, through one pose, and remembers where the coat is.

A kind of object is drawn once, upright and facing right, in its own *box*: y runs from 0 (top) to 1 (bottom)
and x from 0 to the kind's aspect (width / height), so a circle stays a circle. The pose carries the box onto
the canvas. Every shape ends as one polygon, drawn `supersample` times too large and averaged down at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .colors import RGB, Coat

Pair = tuple[float, float]
Point = Pair | np.ndarray  # x and y, (2,)
Points = Sequence[Point] | np.ndarray  # (N, 2) in box coordinates
Radii = Pair | float  # of an ellipse: across and down, or of a circle
Level = tuple[float, float, float]  # a height and two places on it
Width = float | Sequence[float]  # of a line: everywhere, or at places spread evenly along it

INK: RGB = (38, 34, 42)  # eyes, tyres, thin details
RIM = 0.42  # the outline's color as a share of the coat's dark shade
RELIEF = 1.1  # how strongly the light from the upper left models an object's edge


class Brush:
    """Paints one object on a layer of its own."""

    def __init__(self, canvas_size: int = 96, supersample: int = 3):
        self.size, self.supersample = canvas_size, supersample
        side = canvas_size * supersample
        self._layer = Image.new("RGBA", (side, side))
        self._coat = Image.new("L", (side, side))
        self._on_layer, self._on_coat = ImageDraw.Draw(self._layer), ImageDraw.Draw(self._coat)
        self._coat_paints: frozenset[RGB] = frozenset()
        self._rim: RGB = INK
        self.pose((0.5, 0.5), 1.0)

    def pose(
        self,
        center: Point,
        height: float,
        aspect: float = 1.0,
        angle: float = 0.0,
        mirror: bool = False,
        shear: float = 0.0,
    ) -> None:
        """Put the box's center at `center` and make it `height` tall, both in shares of the canvas (0..1).

        `angle` turns it clockwise, in degrees; `mirror` makes it face left; `shear` slides its top to the
        right by that share of its height.
        """
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        turn = np.array([[cos, -sin], [sin, cos]])
        lean = np.array([[-1.0 if mirror else 1.0, -shear], [0.0, 1.0]])
        scale = self.size * self.supersample
        self._matrix = (turn @ lean * height * scale).T
        self._offset = np.array(center) * scale - np.array([aspect / 2, 0.5]) @ self._matrix

    def wear(self, coat: Coat) -> None:
        """From now on paint in this coat's main, dark or light shade counts as coat."""
        self._coat_paints = frozenset((coat.main, coat.dark, coat.light))
        red, green, blue = (int(RIM * channel) for channel in coat.dark)
        self._rim = red, green, blue

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the layer as RGBA, (H, W, 4) uint8, and its coat mask, (H, W) float in 0..1.

        The mask is the share of a pixel's *paint* that is coat, whatever its alpha: a pattern replaces the
        coat by `rgb * (1 - mask) + pattern * mask`, and alpha stays. Light from the upper left models the
        edge, and a thin dark rim runs around the object so that it stands out on a ground of its own color.
        """
        small = self._layer.reduce(self.supersample)
        alpha = small.getchannel("A")
        paint = np.asarray(small, dtype=np.float32)
        cover = paint[..., 3:] / 255
        down, right = np.gradient(np.asarray(alpha.filter(ImageFilter.GaussianBlur(self.size / 40))) / 255.0)
        slope: np.ndarray = np.add(down, right)  # towards the lower right
        rgb = paint[..., :3] * (1 + RELIEF * slope)[..., None]

        halo = self._layer.getchannel("A").filter(
            ImageFilter.GaussianBlur(self.size * self.supersample / 120)
        )
        halo = halo.point([min(255, 5 * level) for level in range(256)]).reduce(self.supersample)
        outline = np.maximum(np.asarray(halo, dtype=np.float32)[..., None] / 255 - cover, 0) * 0.8
        whole = cover + outline
        rgb = (rgb * cover + np.array(self._rim) * outline) / np.maximum(whole, 1e-6)
        rgba = np.concatenate([rgb, whole * 255], axis=2).clip(0, 255).astype(np.uint8)

        coat = np.asarray(self._coat.reduce(self.supersample), dtype=np.float32) / 255
        return rgba, np.clip(coat / np.maximum(whole[..., 0], 1e-6), 0, 1)

    # Shapes with straight edges

    def polygon(self, points: Points, fill: RGB) -> None:
        """Fill the polygon through `points`."""
        corners = (np.asarray(points) @ self._matrix + self._offset).ravel().tolist()
        self._on_layer.polygon(corners, fill=(*fill, 255))
        self._on_coat.polygon(corners, fill=255 if fill in self._coat_paints else 0)

    def slab(self, top: Level, bottom: Level, fill: RGB) -> None:
        """Fill a quadrilateral with a level top and bottom, each given as (y, left, right)."""
        (high, *upper), (low, *lower) = top, bottom
        self.polygon([(upper[0], high), (upper[1], high), (lower[1], low), (lower[0], low)], fill)

    def box(
        self, left: float, top: float, right: float, bottom: float, fill: RGB, radius: float = 0.0
    ) -> None:
        """Fill a box, its corners rounded by `radius`."""
        radius = min(radius, (right - left) / 2, (bottom - top) / 2)
        low, high = np.array([left, top]) + radius, np.array([right, bottom]) - radius
        corners = [(high[0], high[1]), (low[0], high[1]), (low[0], low[1]), (high[0], low[1])]
        steps = 6 if radius else 0
        turns = [
            _turn(corner, (radius, radius), 90 * n, 90 * n + 90, steps) for n, corner in enumerate(corners)
        ]
        self.polygon(np.concatenate(turns), fill)

    # Shapes with round edges; angles are in degrees, clockwise from the right

    def ellipse(self, center: Point, radii: Radii, fill: RGB, angle: float = 0.0) -> None:
        """Fill an ellipse (or, with one radius, a disc), turned by `angle`."""
        rim = _turn((0, 0), _pair(radii), 0, 360, 36)
        if angle:
            cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
            rim = rim @ np.array([[cos, sin], [-sin, cos]])
        self.polygon(rim + np.array(center), fill)

    def sector(self, center: Point, radii: Radii, start: float, end: float, fill: RGB) -> None:
        """Fill the part of an ellipse that its chord from `start` to `end` cuts off (180, 360: a dome)."""
        self.polygon(_turn(center, _pair(radii), start, end, 24), fill)

    def blob(self, points: Points, fill: RGB) -> None:
        """Fill the smooth closed curve through `points`."""
        self.polygon(_smooth(np.asarray(points, dtype=float), closed=True), fill)

    # Lines with round ends; several widths make a line swell or taper

    def line(self, points: Points, width: Width, fill: RGB) -> None:
        """Draw a thick line with straight pieces."""
        points = np.asarray(points, dtype=float)
        widths = _spread(width, len(points))
        for n in range(len(points) - 1):
            self._piece(points[n : n + 2], widths[n : n + 2], fill)

    def curve(self, points: Points, width: Width, fill: RGB) -> None:
        """Draw a thick smooth line through `points`."""
        path = _smooth(np.asarray(points, dtype=float), closed=False)
        self._piece(path, _spread(width, len(path)), fill)

    def arc(
        self, center: Point, radii: Radii, start: float, end: float, width: float, fill: RGB
    ) -> None:
        """Draw a thick line along an ellipse from `start` to `end`."""
        path = _turn(center, _pair(radii), start, end, 30)
        self._piece(path, np.full(len(path), width), fill)

    def ring(self, center: Point, radius: float, width: float, fill: RGB) -> None:
        """Draw a thick circle, its inside left as it is."""
        self.arc(center, radius, 0, 360, width, fill)

    def eye(self, center: Point, radius: float) -> None:
        """Draw an animal's eye with its glint."""
        x, y = center
        self.ellipse(center, radius, INK)
        self.ellipse((x + 0.35 * radius, y - 0.35 * radius), 0.36 * radius, (255, 255, 255))

    def _piece(self, path: np.ndarray, widths: np.ndarray, fill: RGB) -> None:
        """Fill the ribbon of these widths along a path without sharp bends, and a disc at either end."""
        along = np.gradient(path, axis=0)
        along /= np.maximum(np.hypot(*along.T), 1e-9)[:, None]
        aside = np.stack([-along[:, 1], along[:, 0]], axis=1) * widths[:, None] / 2
        self.polygon(np.concatenate([path + aside, (path - aside)[::-1]]), fill)
        for end in (0, -1):
            self.polygon(_turn(path[end], (widths[end] / 2, widths[end] / 2), 0, 360, 12), fill)


def _pair(value: Radii) -> Pair:
    return value if isinstance(value, tuple) else (value, value)


def _spread(width: Width, count: int) -> np.ndarray:
    """Return the width at each of `count` points of a line."""
    places = np.atleast_1d(width)
    return np.interp(np.linspace(0, len(places) - 1, count), np.arange(len(places)), places)


@lru_cache(maxsize=4096)
def _unit_turn(start: float, end: float, steps: int) -> np.ndarray:
    angles = np.radians(np.linspace(start, end, steps + 1))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _turn(center: Point, radii: Pair, start: float, end: float, steps: int) -> np.ndarray:
    """Return `steps` + 1 points on an ellipse between two angles in degrees."""
    return _unit_turn(start, end, steps) * radii + center


def _smooth(points: np.ndarray, closed: bool, steps: int = 6) -> np.ndarray:
    """Return a Catmull-Rom curve through the points, with `steps` points for each piece of it."""
    if closed:
        around = np.concatenate([points[-1:], points, points[:2]])
    else:  # an open curve starts and ends straight
        around = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    before, first, second, after = (around[n : len(around) - 3 + n, None] for n in range(4))
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    curve = first + 0.5 * t * (
        second
        - before
        + t * (2 * before - 5 * first + 4 * second - after + t * (3 * (first - second) + after - before))
    )
    curve = curve.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, points[-1:]])
