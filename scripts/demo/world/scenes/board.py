"""A board that scenes are painted on."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from ..colors import RGB, mix, sample

Point = tuple[float, float]
Places = dict[str, tuple[float, float]]  # home of objects -> heights for their lower edge

SUPERSAMPLE = 2
WHITE, SHADE = (255, 255, 255), (24, 26, 44)


class Board:
    """A square painted in coordinates from 0 to 1 (x right, y down) and averaged down at the end.

    It may show only a window of the scene: `zoom` (from 1) times enlarged, its upper left corner at `corner`.
    """

    def __init__(self, size: int, zoom: float = 1.0, corner: Point = (0.0, 0.0)) -> None:
        self.side = size * SUPERSAMPLE
        self.scale = self.side * zoom
        self.corner = np.array(corner)
        self.image = Image.new("RGB", (self.side, self.side))
        self.pen = ImageDraw.Draw(self.image)

    def at(self, points: list[Point] | np.ndarray) -> list[float]:
        """The pixels x, y, x, y ... of (N, 2) points."""
        return ((np.asarray(points) - self.corner) * self.scale).ravel().tolist()

    def fade(self, top: float, bottom: float, first: RGB, second: RGB) -> None:
        """Fill the full width from `first` at the top to `second` at the bottom."""
        self._fade(self.at([(0, top), (1, bottom)]), first, second, None)

    def _fade(self, corners: list[float], first: RGB, second: RGB, mask: Image.Image | None) -> None:
        """Fill between the heights of two corners, where the mask allows."""
        strip = Image.new("RGB", (1, 2), first)
        strip.putpixel((0, 1), second)
        above, below = round(corners[1]), round(corners[3])
        # The middles of the strip's two pixels, not its ends, are to have the two colors.
        strip = strip.resize((1, max(below - above, 1)), Image.Resampling.BILINEAR, (0, 0.5, 1, 1.5))
        strip = strip.resize((self.side, strip.height), Image.Resampling.NEAREST)
        if mask:
            mask = mask.crop((0, above, self.side, above + strip.height))
        self.image.paste(strip, (0, above), mask)

    def shape(self, points: list[Point] | np.ndarray, fill: RGB) -> None:
        """Fill a polygon."""
        self.pen.polygon(self.at(points), fill=fill)

    def box(self, left: float, top: float, right: float, bottom: float, fill: RGB, radius: float = 0) -> None:
        """Fill a box, its corners rounded by `radius`."""
        self.pen.rounded_rectangle(self.at([(left, top), (right, bottom)]), radius * self.scale, fill=fill)

    def disc(self, x: float, y: float, radius: float, fill: RGB, squeeze: float = 1.0) -> None:
        """Fill a disc, or an ellipse whose height is `squeeze` times its width."""
        tall = radius * squeeze
        self.pen.ellipse(self.at([(x - radius, y - tall), (x + radius, y + tall)]), fill=fill)

    def line(self, points: list[Point] | np.ndarray, width: float, fill: RGB) -> None:
        """Draw a line along the points."""
        self.pen.line(self.at(points), fill=fill, width=max(1, round(width * self.scale)), joint="curve")

    def ridge(
        self,
        level: float,
        sway: float,
        waves: float,
        fill: RGB,
        rng: np.random.Generator,
        foot: RGB | None = None,
    ) -> np.ndarray:
        """Fill everything below a rolling line around `level`; returns the line's points.

        With `foot` the color goes over from `fill` to `foot` within a fifth of the picture.
        """
        x = np.linspace(0, 1, 33)
        first, second = rng.random(2)
        y = np.sin(2 * np.pi * (waves * x + first)) + 0.4 * np.sin(2 * np.pi * (2.3 * waves * x + second))
        crest = np.stack([x, level + sway * y], 1)
        below = [*crest.tolist(), (1, 1), (0, 1)]
        self.shape(below, foot or fill)
        if foot:
            mask = Image.new("L", self.image.size)
            ImageDraw.Draw(mask).polygon(self.at(below), fill=255)
            self._fade(self.at([(0, level - sway), (1, level + 0.2)]), fill, foot, mask)
        return crest

    def pixels(self) -> np.ndarray:
        """What was painted: (size, size, 3) uint8."""
        return np.asarray(self.image.reduce(SUPERSAMPLE))


def paint_sky(board: Board, bottom: float, rng: np.random.Generator, clouds: int = 2) -> None:
    """A sky, paler towards the horizon: mostly blue with a few clouds, at times that of dusk or of rain."""
    weather = rng.random()
    if weather < 0.16:
        board.fade(0, bottom, mix((240, 122, 96), (196, 110, 170), rng.random()), (255, 214, 140))
        return
    if weather < 0.30:
        board.fade(0, bottom, (150, 156, 166), (206, 210, 216))
        cloud = (188, 192, 200)
    else:
        blue = mix(sample("blue", rng), (70, 160, 245), 0.6)
        board.fade(0, bottom, blue, mix(blue, WHITE, rng.uniform(0.35, 0.6)))
        cloud = (250, 251, 253)
    for _ in range(rng.integers(0, clouds + 1)):
        x, y, size = rng.uniform(0.05, 0.95), rng.uniform(0.06, bottom * 0.6), rng.uniform(0.04, 0.07)
        for step in (-1.3, -0.5, 0.4, 1.3):
            board.disc(x + step * size, y - (abs(step) < 1) * size * 0.45, size, cloud, 0.65)


def paint_sun(board: Board, height: float, rng: np.random.Generator, color: RGB = (255, 226, 90)) -> None:
    """A sun somewhere at this height."""
    board.disc(rng.uniform(0.12, 0.88), height, rng.uniform(0.05, 0.08), color)
