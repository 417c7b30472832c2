"""How many different things the units of a layer detect, per run, layer and epoch.

DataFrames in the order of `keys.sort_rows` in, the same order out.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import entr

from cmon.reporting.tables.counts import concept_counts
from cmon.workspace.keys import GROUP, UNIT_KEYS
from cmon.workspace.schemas import GROUP_FIELDS, column

DIVERSITY = pa.schema(
    [
        *GROUP_FIELDS,
        column("n_interpretable", pa.int32(), "units whose label beats chance"),
        column("labels", pa.int32(), "how many distinct labels they have"),
        column("entropy", pa.float64(), "of their labels, in bits"),
        column(
            "effective_labels", pa.float64(), "2 to the power of `entropy`: as many equally frequent labels"
        ),
        column("n_anchors", pa.int32(), "how many anchors there are"),
        column("labelled_anchors", pa.float64(), "share of the anchors that are a label, 0 to 1", null=True),
        column(
            "covered",
            pa.float64(),
            "share of the anchors that are a unit's nearest in the plane, 0 to 1",
            null=True,
        ),
        column("covered_clip", pa.float64(), "the same in CLIP's text space", null=True),
        column("most_frequent", pa.string(), "the label that most of them have", null=True),
        column("its_units", pa.int32(), "how many have it"),
        column("n_units", pa.int32(), "all units of the layer"),
        column(
            "overlap",
            pa.float64(),
            "redundancy: mean share of a live unit's most activating images that another live unit has among its own, "
            "0 to 1; needs no CLIP",
            null=True,
        ),
        column("overlap_chance", pa.float64(), "of units that order the images at random", null=True),
    ]
)


_OF_SCORES = {
    "most frequent label": "most_frequent",
    "its units": "its_units",
    "overlap": "overlap",
    "overlap by chance": "overlap_chance",
}
"""Columns of the table `scores`, and what they are called here."""


def layer_diversity(units: pd.DataFrame, layout: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """One row per run, layer, epoch of `units`. DIVERSITY.

    units, layout, scores: the tables of those names; layout with its anchors. All counts are over interpretable units,
    `n_interpretable` of them.

    `labels`: how many distinct labels they have, 0 to n_interpretable.
    `entropy`: of their labels in bits, -sum p log2 p, p the share of them that has a label; 0 if all have the same
    one or there are none, at most log2(labels), which it is if all labels are equally frequent.
    `effective_labels`: 2^entropy, the number of equally frequent labels with that entropy; 1 to `labels`, and 0 where
    there are no units. Unlike `labels` it hardly counts labels of single units.
    `n_anchors`: how many anchors there are, the same in every row.
    `labelled_anchors`: share of the anchors that are the label of at least one of the units (letter case does not
    matter); 0 to 1.
    `covered`: share of the anchors that are the nearest anchor in the plane of at least one of the units;
    `covered_clip`: the same in CLIP's space. 0 to 1, and not over n_interpretable / n_anchors. A unit that is far
    from all anchors has a nearest one too: read it together with d_anchor.
    NaN if there are no anchors.
    `most_frequent`, `its_units`, `overlap`, `overlap_chance`: as the table `scores` has them, where it has the row.
    Units that share their top images answer to one thing, and have one label whatever the function: read it beside
    the labels.
    """
    anchors = layout.loc[layout["kind"] == "anchor", "concept"]
    keys = UNIT_KEYS
    near = layout.loc[layout["kind"] == "unit", [*keys, "nearest_anchor", "nearest_anchor_clip"]]
    own = units.loc[units["interpretable"], [*keys, "label"]].merge(
        near.astype({"unit": units["unit"].dtype}), on=keys, how="left"
    )
    table = units.groupby(GROUP, sort=False)[["interpretable"]].sum()
    table = table.astype(int).set_axis(["n_interpretable"], axis=1)
    table = table.join(label_diversity(units))
    table["effective_labels"] = np.where(table["labels"] > 0, 2 ** table["entropy"], 0.0)
    table["n_anchors"] = len(anchors)
    own["label"] = own["label"].where(own["label"].str.casefold().isin(anchors.str.casefold())).str.casefold()
    for name, source in (
        ("labelled_anchors", "label"),
        ("covered", "nearest_anchor"),
        ("covered_clip", "nearest_anchor_clip"),
    ):
        found = own.groupby(GROUP)[source].nunique().reindex(table.index, fill_value=0)
        table[name] = found / len(anchors) if len(anchors) else np.nan
    of_layer = scores.set_index(GROUP)[list(_OF_SCORES)].rename(columns=_OF_SCORES)
    table = table.join(of_layer).fillna({"its_units": 0}).astype({"its_units": int})
    table["n_units"] = units.groupby(GROUP, sort=False).size()
    return table.reset_index()


def label_diversity(units: pd.DataFrame) -> pd.DataFrame:
    """`labels` and `entropy` (see `layer_diversity`), indexed by run, layer, epoch."""
    counts = concept_counts(units)
    share = counts["units"] / counts.groupby(GROUP)["units"].transform("sum")
    grouped = counts[GROUP].assign(bits=entr(share) / math.log(2)).groupby(GROUP)["bits"]
    found = pd.DataFrame({"labels": grouped.size(), "entropy": grouped.sum() + 0.0})  # 0.0 and not -0.0
    groups = units.groupby(GROUP, sort=False).size().index
    return found.reindex(groups).fillna(0).astype({"labels": int, "entropy": float})
