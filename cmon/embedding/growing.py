"""A plane that grows: what the table `layout` places already stays where it is, and new units are placed among it.

That is right only where the old places are those of the same layout, options, anchors, concepts and scores, and all of
what they place is still chosen; else all is fitted anew, and `Changed` says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cmon.concepts import Concept
from cmon.embedding.content import Content
from cmon.embedding.layouts.base import Fitted, Layout, Places, UpdatableLayout
from cmon.embedding.layouts.registry import option_names
from cmon.workspace.keys import UNIT_KEYS
from cmon.workspace.table_files import read_table, stamp
from cmon.workspace.workspace import Workspace


@dataclass(frozen=True)
class OldLayout:
    """The places that stay."""

    known: np.ndarray
    """(L,) whether a live unit has an old place."""
    by_fit: np.ndarray
    """(L,) whether that place is from a fit, and not from growing."""
    places: Places
    """Of the live units, NaN where they have no old place, and of the anchors."""


@dataclass(frozen=True)
class Changed:
    """Why the old places cannot stay."""

    reason: str


def read_old_layout(
    workspace: Workspace,
    content: Content,
    anchors: Sequence[Concept],
    layout: Layout,
    parameters: Mapping[str, Any],
) -> OldLayout | Changed | None:
    """The old places, or why they cannot stay; None if there is no table `layout` yet.

    parameters: those that the new table will have.
    """
    path = workspace.table("layout")
    if not path.is_file():
        return None
    before = stamp(path).get("parameters", {})
    for name in ("layout", *option_names(layout), "seed"):
        if before.get(name) != parameters[name]:
            return Changed(f"{name} is {parameters[name]}, and was {before.get(name)}")
    if before.get("vocabulary") != parameters["vocabulary"]:
        return Changed("the scored concepts, or their vectors, are others than then")
    if not isinstance(layout, UpdatableLayout):
        return Changed(f"the layout {layout.name} cannot place units among old ones that stay")
    table = read_table(path).to_pandas()
    old_anchors, old_units = table[table["kind"] == "anchor"], table[table["kind"] != "anchor"]
    if old_anchors["concept"].tolist() != [anchor.name for anchor in anchors]:
        return Changed("the anchors are others than then")
    gone = len(old_units) - len(old_units[UNIT_KEYS].merge(content.units[UNIT_KEYS], on=UNIT_KEYS))
    if gone:
        return Changed(f"{gone:,} units that have a row are not chosen, or not scored, any more")
    rows = content.keys.merge(old_units, on=UNIT_KEYS, how="left")
    known = rows["x"].notna().to_numpy()
    if before.get("scores") != fingerprint(content.fingerprints[known]):
        return Changed("units that are placed were scored again since")
    places = Places(rows[["x", "y"]].to_numpy(), old_anchors[["x", "y"]].to_numpy())
    return OldLayout(known, (rows["placed"] == "fitted").to_numpy(), places)


def place_new_units(content: Content, layout: UpdatableLayout, seed: int, old: OldLayout) -> Places:
    """The old places, and new ones for the units that have none."""
    places = old.places.points.copy()
    fitted = _fitted(content, old, old.known)
    places[~old.known] = layout.place(content.points.subset(~old.known), fitted, content.others, seed)
    return Places(places, old.places.anchors)


def distance_from_fit(content: Content, layout: UpdatableLayout, seed: int, old: OldLayout) -> float:
    """How far from its place in a fit a unit is put that is placed later, in the anchors' RMS radius.

    The units of the last epoch that took part in the fit are placed again, among the others, as if they were new:
    the mean distance from where the fit has them. Of the last epoch, as new epochs are mostly added at the end. NaN if
    all that was fitted is of one epoch.
    """
    fitted = np.unique(content.points.epochs[old.by_fit])
    if len(fitted) < 2:
        return float("nan")
    last = fitted[-1]
    again = old.by_fit & (content.points.epochs == last)
    places = layout.place(
        content.points.subset(again), _fitted(content, old, old.by_fit & ~again), content.others, seed
    )
    return float(np.linalg.norm(places - old.places.points[again], axis=1).mean())


def fingerprint(fingerprints: np.ndarray) -> str:
    """Of the units that have a place, whatever their order: equal for the same units with the same scores."""
    return f"{int(fingerprints.sum(dtype=np.uint64)):016x}"


def _fitted(content: Content, old: OldLayout, rows: np.ndarray) -> Fitted:
    """rows: (L,) which of the live units are given."""
    places = Places(old.places.points[rows], old.places.anchors)
    return Fitted(content.points.subset(rows), content.anchors, places, old.by_fit[rows])
