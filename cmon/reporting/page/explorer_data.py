"""The data of the page's interactive embedding, small enough to be part of the page.

Numbers are columns of bytes in base64, and words that repeat are listed once. A run's columns are matrices
of epochs by units in one fixed order of units, so that the page reads an epoch as a slice.
"""

from __future__ import annotations

import base64
import os.path
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from cmon.reporting.categories import NO_CATEGORY, in_order
from cmon.reporting.figures import plane, style
from cmon.reporting.figures.style import Theme
from cmon.reporting.tracking import TrackedUnit
from cmon.workspace.keys import GROUP, UNIT_KEYS, epoch_text
from cmon.workspace.status import STATUSES

IMAGES = 5
"""Top images of a unit at an epoch, at least; where there is room, as many as the table `units` has."""
_MOST_IDS = 1_500_000
"""Top images of all units at all epochs together: 4 MB of the page."""
_MOST_PICTURES = 4_000
"""Different ones among them: 10 MB of thumbnails."""
_STATUSES = tuple(STATUSES)
NOWHERE = -32768
"""The place of a unit that has none."""
_FINEST = 32767
_LONGEST_SIDE = 1.35
"""Of the frame over its other side, at most: two panels must fit side by side."""
_WHOLE_TYPES = ("int8", "int16", "int32")

Data = dict[str, Any]


def explorer_data(
    units: pd.DataFrame, layout: pd.DataFrame, paths: Mapping[int, str], tracked: Sequence[TrackedUnit]
) -> Data:
    """Everything that the interactive embedding shows, to be written as JSON.

    units: the table of that name in the order of `keys.sort_rows`; layout: the whole table, anchors first.
    paths: image_id to path, of all images. Keys: `epochs` (of all runs, rising), `layers`, `statuses`,
    `categories`, `labels`, `anchors`, `images` (`each`: how many a unit has at an epoch), `runs`, `tracked`, `half` and
    `themes` (colours on a light and a dark background). Places are relative to the middle of the frame, whose half
    width and height `half` holds; those of units are whole numbers to be multiplied by the larger half / 32767, and
    `beside_x`, `beside_y` is how far beside it a unit is drawn (see `plane.offsets`). `fit` is in whole percent, -1
    for none. Everything else is as in the tables, as float32.
    """
    anchors = layout[layout["kind"] == "anchor"]
    places = layout.loc[layout["kind"] == "unit", [*GROUP, "unit", "x", "y"]]
    placed = units.merge(places, on=UNIT_KEYS, how="left")
    epochs = sorted(units["epoch"].unique())
    layers = list(units["layer"].unique())
    categories = in_order(str(name) for name in (*units["category"], *anchors["category"]) if pd.notna(name))
    labels = _label_table(units, categories)
    tops = top_images(units)
    shown = _distinct(tops)
    points = [anchors[["x", "y"]].to_numpy(), placed[["x", "y"]].dropna().to_numpy()]
    centre, half = plane.frame(np.concatenate(points), _LONGEST_SIDE)
    most_offset = plane.most_offset(points[0])
    for axis, middle in zip("xy", centre, strict=True):
        placed[axis] -= middle
    return {
        "epochs": [epoch_text(epoch) for epoch in epochs],
        "layers": layers,
        "statuses": list(_STATUSES),
        "categories": categories,
        "labels": {"names": list(labels["label"]), "categories": _indices(categories, labels["category"])},
        "anchors": _anchor_columns(anchors, centre, layout, categories),
        "images": {"each": tops.shape[1], "ids": shown, "names": _short_names(paths, shown)},
        "runs": [
            _run_columns(
                str(run),
                own,
                epochs,
                layers,
                list(labels["label"]),
                shown,
                tops[own.index],
                half.max(),
                most_offset,
            )
            for run, own in placed.groupby("run", sort=False)
        ],
        "tracked": [
            {"layer": layers.index(one.layer), "unit": one.unit, "reason": one.sentence} for one in tracked
        ],
        "half": half.tolist(),
        "themes": {
            "light": _colors(style.LIGHT, categories, layers),
            "dark": _colors(style.DARK, categories, layers),
        },
    }


def image_ids(units: pd.DataFrame) -> list[int]:
    """All images that any unit shows at any epoch, rising; those of units that are not live mean nothing."""
    return _distinct(top_images(units))


def top_images(units: pd.DataFrame) -> np.ndarray:
    """(rows, each) image_id, -1 where there is none: as many of each unit and epoch as the page has room for.

    `each` is a multiple of IMAGES, or all there are.
    """
    longest = max((len(images) for images in units["top_images"]), default=0)
    most = max(IMAGES, min(longest, _MOST_IDS // max(1, len(units))))
    tops = np.full((len(units), most), -1, dtype=np.int32)
    live = (units["status"] == "ok").to_numpy()
    for row, images in zip(np.flatnonzero(live), units["top_images"].to_numpy()[live], strict=True):
        first = images[:most]
        tops[row, : len(first)] = first
    # Rank by rank, so that an image's first place tells from how many top images on it is shown.
    found, places = np.unique(tops.T.ravel(), return_index=True)
    from_rank = np.sort(places[found >= 0] // max(1, len(units)))
    if len(from_rank) > _MOST_PICTURES:
        most = int(from_rank[_MOST_PICTURES])
    return tops if most == longest else tops[:, : max(IMAGES, most // IMAGES * IMAGES)]


def _distinct(tops: np.ndarray) -> list[int]:
    return [int(image) for image in np.unique(tops) if image >= 0]


def _run_columns(
    name: str,
    own: pd.DataFrame,
    epochs: Sequence[float],
    layers: Sequence[str],
    labels: Sequence[str],
    images: Sequence[int],
    tops: np.ndarray,
    farthest: float,
    most_offset: float,
) -> Data:
    """One run: who its units are, and for each of its epochs a row of what they do.

    images: all that the page shows, rising. tops: the run's rows of `top_images`. farthest: of a place from the middle.
    most_offset: see `plane.offsets`.
    """
    layer = own["layer"].map({one: at for at, one in enumerate(layers)}).to_numpy()
    # Which unit and which epoch each row of the table is about, as positions in the matrices.
    who, unit_at = np.unique(np.stack([layer, own["unit"].to_numpy()]), axis=1, return_inverse=True)
    when, epoch_at = np.unique(own["epoch"].to_numpy(), return_inverse=True)
    shape = (len(when), who.shape[1])

    def matrix(values: np.ndarray, empty: float) -> np.ndarray:
        table = np.full((*shape, *values.shape[1:]), empty, dtype=values.dtype)
        table[epoch_at, unit_at.ravel()] = values
        return table

    beside = plane.offsets(who[0], who[1], most_offset).astype(np.float32)
    label = own["label"].map({one: at for at, one in enumerate(labels)}).fillna(-1).to_numpy(dtype=np.int64)
    fit = np.round(100 * own["fit"].fillna(-0.01).to_numpy()).astype(np.int64)
    shown = np.where(tops >= 0, np.searchsorted(np.asarray(images), tops), -1)
    return {
        "name": name,
        "epochs": [int(at) for at in np.searchsorted(epochs, when)],
        "units": shape[1],
        "layer": encode(who[0]),
        "unit": encode(who[1]),
        "beside_x": encode(beside[:, 0], "float32"),
        "beside_y": encode(beside[:, 1], "float32"),
        **{
            axis: encode(matrix(quantise(own[axis].to_numpy(), farthest), NOWHERE).astype(np.int16), "int16")
            for axis in ("x", "y")
        },
        "status": encode(matrix(own["status"].map(_STATUSES.index).to_numpy(), -1)),
        "interpretable": encode(matrix(own["interpretable"].to_numpy(dtype=np.int64), 0)),
        "label": encode(matrix(label, -1)),
        "images": encode(matrix(shown, -1)),
        "fit": encode(matrix(fit, -1)),
        **{
            column: encode(matrix(own[column].to_numpy(dtype=np.float32), np.nan), "float32")
            for column in ("score", "margin", "p_value")
        },
    }


def encode(values: np.ndarray, kind: str = "") -> dict[str, str]:
    """An array as its type and its bytes, little-endian, in base64; whole numbers in the smallest type."""
    if not kind:
        low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
        kind = next(name for name in _WHOLE_TYPES if np.iinfo(name).min <= low and high <= np.iinfo(name).max)
    little = np.ascontiguousarray(values, dtype=np.dtype(kind).newbyteorder("<"))
    return {"type": kind, "data": base64.b64encode(little.tobytes()).decode()}


def quantise(values: np.ndarray, farthest: float) -> np.ndarray:
    """Coordinates from -farthest to farthest as whole numbers from -32767 to 32767, NOWHERE for NaN: int32."""
    steps = np.round(values / farthest * _FINEST)
    return np.where(np.isnan(steps), NOWHERE, steps).astype(np.int32)


def _label_table(units: pd.DataFrame, categories: Sequence[str]) -> pd.DataFrame:
    """Each label once, with its category, the most frequent first."""
    named = units[units["label"].notna()]
    counts = named.groupby("label", sort=True)["category"].agg(["size", "first"]).reset_index()
    counts = counts.sort_values(["size", "label"], ascending=[False, True])
    return counts.rename(columns={"first": "category"})[["label", "category"]]


def _indices(categories: Sequence[str], values: pd.Series) -> list[int]:
    """Each value's index in `categories`, -1 for none."""
    return [categories.index(value) if pd.notna(value) else -1 for value in values]


def _anchor_columns(
    anchors: pd.DataFrame, centre: np.ndarray, layout: pd.DataFrame, categories: Sequence[str]
) -> Data:
    ranked = plane.rank_anchors(anchors, layout[layout["kind"] == "unit"])
    return {
        "names": list(ranked["concept"]),
        "categories": _indices(categories, ranked["category"]),
        **{
            axis: [round(float(value), 4) for value in ranked[axis] - middle]
            for axis, middle in zip("xy", centre, strict=True)
        },
    }


def _short_names(paths: Mapping[int, str], shown: Sequence[int]) -> list[str]:
    """Paths below the folder that all images are in."""
    folders = {os.path.dirname(path) for path in paths.values()}
    common = os.path.commonpath(folders) if folders and all(map(os.path.isabs, folders)) else ""
    return [os.path.relpath(paths[image], common) if common else paths[image] for image in shown]


def _colors(theme: Theme, categories: Sequence[str], layers: Sequence[str]) -> Data:
    by_category = style.category_colors([*categories, NO_CATEGORY])
    ramp = mpl.colormaps["viridis"]
    # The ends of the colour map are too dark and too bright to be seen on the page's backgrounds.
    return {
        "paper": theme.paper,
        "ink": theme.ink,
        "anchor": theme.anchor,
        "plain": [theme.neurons[1], theme.neurons[0]],
        "tracked": list(theme.tracked),
        "categories": list(by_category.values()),
        "layers": [to_hex(ramp(0.15 + 0.7 * at / max(1, len(layers) - 1))) for at in range(len(layers))],
    }
