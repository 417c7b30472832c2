"""A tracked neuron at an epoch as one picture: its most activating images in a row, and what it detects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cmon.reporting.page.thumbnails import read_pictures
from cmon.watching.measures import Findings
from cmon.workspace.stored_paths import find_image
from cmon.workspace.workspace import Workspace

IMAGES = 8
"""Of a unit at an epoch, the strongest first."""
_SIDE, _BAR = 96, 22
"""Pixels of an image's side, and of the line of text above."""
_GROUND, _MISSING, _TEXT = (255, 255, 255), (220, 220, 220), (20, 20, 20)


@dataclass(frozen=True)
class Strip:
    """What one picture shows; equal ones look the same."""

    layer: str
    unit: int
    epoch: float
    text: str
    images: tuple[int, ...]
    """image_id."""

    @property
    def tag(self) -> str:
        return f"tracked/{self.layer}:{self.unit}"


def strips(findings: Findings, run: str) -> Iterator[Strip]:
    """Of the tracked units of a run, at each epoch at which they are live."""
    if findings.stored is None:
        return
    units = findings.stored.units
    own = units[(units["run"] == run) & (units["status"] == "ok")]
    for tracked in findings.tracked:
        for row in own[(own["layer"] == tracked.layer) & (own["unit"] == tracked.unit)].itertuples():
            sure = "significant" if row.interpretable else "not significant"
            text = f"{row.label}  {row.score:.2f}, {sure}"
            images = tuple(int(image) for image in row.top_images[:IMAGES])
            yield Strip(tracked.layer, tracked.unit, float(row.epoch), text, images)


def draw(wanted: Sequence[Strip], findings: Findings, workspace: Workspace) -> list[tuple[Strip, np.ndarray]]:
    """Each strip with its picture, (_BAR + _SIDE, IMAGES * _SIDE, 3) uint8; an image that cannot be shown is grey."""
    if findings.stored is None or not wanted:
        return []
    shown = sorted({image for strip in wanted for image in strip.images})
    rows = findings.stored.images.set_index("image_id").loc[shown].to_dict("index")
    files = {
        int(str(image)): (find_image(row, workspace.root, findings.images), row["sha256"])
        for image, row in rows.items()
    }
    pictures, _ = read_pictures(files, _SIDE)
    return [(strip, _draw(strip, pictures)) for strip in wanted]


def _draw(strip: Strip, pictures: dict[int, Image.Image]) -> np.ndarray:
    whole = Image.new("RGB", (IMAGES * _SIDE, _BAR + _SIDE), _GROUND)
    ImageDraw.Draw(whole).text((4, 3), strip.text, _TEXT, ImageFont.load_default(14))
    for position, image in enumerate(strip.images):
        picture = pictures.get(image) or Image.new("RGB", (_SIDE, _SIDE), _MISSING)
        whole.paste(picture, (position * _SIDE, _BAR))
    return np.asarray(whole)
