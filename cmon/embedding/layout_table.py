"""The rows of the table `layout`: anchors, then all chosen units, live or not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from cmon import trajectories
from cmon.concepts import Concept
from cmon.embedding.content import Content
from cmon.embedding.distances import nearest
from cmon.embedding.layouts.base import Places
from cmon.workspace import schemas


def layout_table(
    content: Content, anchors: Sequence[Concept], places: Places, by_fit: np.ndarray
) -> pa.Table:
    """Schema LAYOUT. by_fit: (L,) whether a live unit's place is from a fit, and not from growing."""
    units = content.units.assign(kind="unit").join(_live_columns(content, anchors, places, by_fit))
    return pa.concat_tables(
        pa.Table.from_pandas(
            part.reindex(columns=schemas.LAYOUT.names), schema=schemas.LAYOUT, preserve_index=False
        )
        for part in (_anchor_rows(anchors, places), units)
    )


def _anchor_rows(anchors: Sequence[Concept], places: Places) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "kind": "anchor",
            "concept": [anchor.name for anchor in anchors],
            "category": [anchor.category for anchor in anchors],
            "status": "ok",
            "placed": "fitted",
            "x": places.anchors[:, 0],
            "y": places.anchors[:, 1],
        }
    )


def _live_columns(
    content: Content, anchors: Sequence[Concept], places: Places, by_fit: np.ndarray
) -> pd.DataFrame:
    """What only live units have, indexed by their row in `content.units`."""
    names = np.array([anchor.name for anchor in anchors], dtype=object)
    near, distance = nearest(places.points, places.anchors)
    near_clip, distance_clip = nearest(content.points.vectors, content.anchors)
    linked = trajectories.links(content.keys)
    first = np.where(linked.previous >= 0, linked.first, -1)
    return pd.DataFrame(
        {
            "placed": np.where(by_fit, "fitted", "placed"),
            "x": places.points[:, 0],
            "y": places.points[:, 1],
            "nearest_anchor": names[near],
            "distance": distance,
            "nearest_anchor_clip": names[near_clip],
            "distance_clip": distance_clip,
            "step_clip": trajectories.lengths(content.points.vectors, linked.previous),
            "from_first_clip": trajectories.lengths(content.points.vectors, first),
        },
        index=content.live,
    )
