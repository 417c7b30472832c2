"""What the page says about runs, units and inputs: DataFrames in, parts of `views.Page` out."""

from __future__ import annotations

import json
import os.path
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cmon.reporting.categories import NO_CATEGORY, interpretable_categories
from cmon.reporting.epochs import first_middle_last, last_epochs
from cmon.reporting.figures import style
from cmon.reporting.page import explorer_data
from cmon.reporting.page.views import Moment, TrackedView, UnitRow
from cmon.reporting.tracking import TrackedUnit
from cmon.workspace.keys import epoch_text

PICTURED_UNITS = 100
"""Units per run whose top images the page's table shows."""
PICTURED_IMAGES = explorer_data.IMAGES
MOST_ROWS = 1000
"""Units per run in that table: browsers stumble over tables of tens of thousands of rows."""
TRACKED_IMAGES = 8
_PLAIN_FOLDERS = {"images", "imgs", "photos", "train", "val", "test"}
"""Names of folders that say nothing without the one above."""


def facts(
    units: pd.DataFrame, images: pd.DataFrame, layout: pd.DataFrame, n_concepts: int
) -> list[tuple[str, str]]:
    """(count, what was counted) for the head of the page."""
    last = last_epochs(units)
    usable = int((images["status"] == "ok").sum())
    checkpoints = len(units[["run", "epoch"]].drop_duplicates())

    def counted(count: int, one: str, many: str) -> tuple[str, str]:
        return f"{count:,}", one if count == 1 else many

    return [
        counted(units["run"].nunique(), "run", "runs"),
        counted(checkpoints, "checkpoint", "checkpoints"),
        counted(units["layer"].nunique(), "layer", "layers"),
        counted(len(last), "unit", "units in all runs"),
        counted(usable, "probe image", "probe images"),
        counted(n_concepts, "scored concept", "scored concepts"),
        counted(int((layout["kind"] == "anchor").sum()), "anchor", "anchors"),
    ]


def heading(model: str, clip: str, images: pd.DataFrame) -> tuple[str, str]:
    """(title, subtitle) of the page: the network, the probe images and the CLIP by their names.

    model, clip: as they were given; what says where they come from is left out. An unknown one is ''.
    """
    network, words = (_short_name(given) for given in (model, clip))
    folders = {os.path.dirname(path) for path in images["path"]}
    known = bool(folders) and all(map(os.path.isabs, folders))
    place: str = os.path.commonpath(folders) if known else ""
    parent, probe = os.path.basename(os.path.dirname(place)), os.path.basename(place)
    if probe in _PLAIN_FOLDERS and parent:
        probe = f"{parent}/{probe}"
    title = f"What the neurons of {network} learn" if network else "What the neurons learn"
    shown = f"on the images of {probe}" if probe else "on the probe images"
    return title, f"{shown}, in the words of {words}" if words else shown


def _short_name(given: str) -> str:
    """'resnet18' of 'torchvision:resnet18', 'world-clip' of 'local-dir:data/world-clip'; others as they are."""
    kind, _, name = given.partition(":")
    if kind == "local-dir" or (kind == "python" and "/" in name):
        return os.path.basename(os.path.normpath(name))
    return name if kind in ("torchvision", "timm", "python", "hf-hub") else given


def skipped(
    checkpoints: pd.DataFrame, images: pd.DataFrame, missing: Mapping[int, str]
) -> list[tuple[str, str]]:
    """Checkpoints and images that were left out, and top images that cannot be shown any more."""
    paths = images.set_index("image_id")["path"]
    checkpoints, images = (table[table["status"] != "ok"] for table in (checkpoints, images))
    return [
        *[
            (f"{row['run']}: {row['checkpoint']}", str(row["error"]))
            for row in checkpoints.to_dict("records")
        ],
        *[(row["path"], str(row["error"])) for row in images.to_dict("records")],
        *[(paths[image], f"not shown: {why}") for image, why in missing.items()],
    ]


def tracked_views(
    tracked: Sequence[TrackedUnit], units: pd.DataFrame, concepts: pd.DataFrame
) -> list[TrackedView]:
    """Each tracked unit at the first, middle and last epoch of every run that has it."""
    views = []
    for index, one in enumerate(tracked):
        rows = units[(units["layer"] == one.layer) & (units["unit"] == one.unit)]
        runs = {}
        for run, own in rows.groupby("run", sort=False):
            shown = own[own["epoch"].isin(first_middle_last(own["epoch"]))]
            runs[str(run)] = [_moment(row, concepts) for row in shown.to_dict("records")]
        light, dark = (theme.tracked[index % len(theme.tracked)] for theme in (style.LIGHT, style.DARK))
        views.append(TrackedView(one.name, one.sentence, light, dark, runs))
    return views


def unit_rows(units: pd.DataFrame) -> list[UnitRow]:
    """The units at their run's last epoch, the most significant of each run first; see MOST_ROWS, PICTURED_UNITS."""
    last = last_epochs(units)
    colors = style.category_colors(interpretable_categories(units))
    found = []
    for _, own in last.groupby("run", sort=False):
        own = own.sort_values(["p_value", "score"], ascending=[True, False], kind="stable")
        for place, row in enumerate(own[:MOST_ROWS].to_dict("records")):
            pictured = place < PICTURED_UNITS and row["status"] == "ok"
            category = _text(row["category"])
            found.append(
                UnitRow(
                    run=row["run"],
                    layer=row["layer"],
                    unit=row["unit"],
                    label=_label(row),
                    category=category,
                    color=colors.get(category, style.CATEGORY_COLORS[NO_CATEGORY]),
                    score=_number(row["score"]),
                    p_value=_number(row["p_value"]),
                    fit=_number(row["fit"]),
                    significant=bool(row["interpretable"]),
                    images=[int(image) for image in row["top_images"][:PICTURED_IMAGES]] if pictured else [],
                )
            )
    return found


def parameter_list(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values as text; what is nested as JSON."""
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
        for name, value in parameters.items()
    ]


def _moment(row: Mapping[Any, Any], concepts: pd.DataFrame) -> Moment:
    same = (concepts["run"] == row["run"]) & (concepts["layer"] == row["layer"])
    same &= (concepts["epoch"] == row["epoch"]) & (concepts["unit"] == row["unit"])
    following = concepts[same & concepts["rank"].between(1, 2)].sort_values("rank")["concept"]
    return Moment(
        epoch=epoch_text(row["epoch"]),
        label=_label(row),
        score=_number(row["score"]),
        fit=_number(row["fit"]),
        significant=bool(row["interpretable"]),
        next_labels=", ".join(following),
        # A dead unit's top images are the first ones of a tie among all: they say nothing.
        images=[int(image) for image in row["top_images"][:TRACKED_IMAGES]] if row["status"] == "ok" else [],
    )


def _label(row: Mapping[Any, Any]) -> str:
    return row["label"] if row["status"] == "ok" else row["status"]


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
