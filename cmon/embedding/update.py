"""`--update`: what the table `layout` places already stays where it is, and new units are placed among it.

So the old layout must have been made by the same layout, with the same options, anchors, concepts and scores; if it
was not, a CmonError says what differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cmon.concepts import Concept
from cmon.embedding.content import Content
from cmon.embedding.distances import nearest
from cmon.embedding.layouts.base import Fitted, Layout, Places, UpdatableLayout
from cmon.embedding.layouts.registry import LAYOUTS, option_names
from cmon.errors import CmonError
from cmon.workspace.keys import UNIT_KEYS
from cmon.workspace.workspace import Workspace, read_table, stamp


@dataclass(frozen=True)
class OldLayout:
    """The places that stay."""

    known: np.ndarray
    """(L,) whether a live unit has an old place."""
    fitted: np.ndarray
    """(L,) whether that place is from a fit, not from an earlier update."""
    places: Places
    """Of the live units, NaN where they have no old place, and of the anchors."""


def read_old_layout(
    workspace: Workspace,
    content: Content,
    anchors: Sequence[Concept],
    layout: Layout,
    parameters: Mapping[str, Any],
) -> OldLayout | None:
    """The old places; None if there is no table `layout` yet.

    parameters: those that the new table will have. Raises CmonError when the old layout cannot be updated.
    """
    path = workspace.table("layout")
    if not path.is_file():
        return None
    _check_parameters(stamp(path).get("parameters", {}), layout, parameters)
    table = read_table(path).to_pandas()
    old_anchors, old_units = table[table["kind"] == "anchor"], table[table["kind"] != "anchor"]
    before, now = old_anchors["concept"].tolist(), [anchor.name for anchor in anchors]
    if before != now:
        raise _not_the_same("anchors", _shorten(before), _shorten(now))
    _check_none_left_out(workspace, content, old_units)
    rows = content.keys.merge(old_units, on=UNIT_KEYS, how="left")
    known = rows["x"].notna().to_numpy()
    _, distances = nearest(content.points.vectors[known], content.anchors)
    if not np.allclose(distances, rows.loc[known, "distance_clip"], atol=1e-5):
        raise _not_the_same("vectors of units", "other scores", "the scores as they are now")
    places = Places(rows[["x", "y"]].to_numpy(), old_anchors[["x", "y"]].to_numpy())
    return OldLayout(known, (rows["placed"] == "fitted").to_numpy(), places)


def place_new_units(content: Content, layout: Layout, seed: int, old: OldLayout) -> Places:
    """The old places, and new ones for the units that have none; new units are placed by the fitted ones alone.

    Raises CmonError when the layout cannot place units among old ones that stay.
    """
    if not isinstance(layout, UpdatableLayout):
        able = [name for name, entry in LAYOUTS.items() if isinstance(entry.load()(), UpdatableLayout)]
        raise CmonError(
            f"--update: the layout {layout.name!r} cannot place units among old ones that stay",
            expected=f"--layout {', '.join(able[:-1])} or {able[-1]}",
            found=f"--layout {layout.name}",
            hint="without --update, all are placed anew",
        )
    fitted = Fitted(
        content.points.subset(old.fitted),
        content.anchors,
        Places(old.places.points[old.fitted], old.places.anchors),
    )
    places = old.places.points.copy()
    places[~old.known] = layout.place(content.points.vectors[~old.known], fitted, content.others, seed)
    return Places(places, old.places.anchors)


def _check_parameters(before: Mapping[str, Any], layout: Layout, now: Mapping[str, Any]) -> None:
    for name in ("layout", *option_names(layout), "seed"):
        if before.get(name) != now[name]:
            raise _not_the_same(name, before.get(name), now[name])
    if before.get("vocabulary") != now["vocabulary"]:  # a digest, which would tell a reader nothing
        raise _not_the_same(
            "concepts, or another CLIP", "those of then", "those of the scores as they are now"
        )


def _check_none_left_out(workspace: Workspace, content: Content, placed: pd.DataFrame) -> None:
    """Raises CmonError when the choice leaves out units that the layout has, and that are still scored."""
    scored = placed[UNIT_KEYS].merge(workspace.read("units").select(UNIT_KEYS).to_pandas(), on=UNIT_KEYS)
    left_out = len(scored) - len(scored.merge(content.units[UNIT_KEYS], on=UNIT_KEYS))
    if left_out:
        raise CmonError(
            f"--update: {left_out:,} units that are placed already were not chosen",
            expected="a choice of --run, --layer and --epoch that holds all that is placed, and more",
            found="one that leaves them out",
            hint="choose those, too; or place all anew without --update",
        )


def _not_the_same(name: str, before: Any, now: Any) -> CmonError:
    return CmonError(
        f"--update: the layout that is there was made with other {name}",
        expected=f"{before}",
        found=f"{now}",
        hint="give the same as then, or place all anew without --update",
    )


def _shorten(names: Sequence[str]) -> str:
    return f"{len(names)}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
