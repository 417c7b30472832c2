"""How many different things the units of a layer detect, per run, layer and epoch.

DataFrames in the order of `keys.sort_rows` in, the same order out.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cmon.workspace.keys import GROUP, UNIT_KEYS


def of_layers(units: pd.DataFrame, layout: pd.DataFrame) -> pd.DataFrame:
    """One row per run, layer, epoch of `units`. Schema DIVERSITY.

    units, layout: the tables of those names; layout with its anchors. All counts are over interpretable units,
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
    """
    anchors = layout.loc[layout["kind"] == "anchor", "concept"]
    keys = UNIT_KEYS
    near = layout.loc[layout["kind"] == "unit", [*keys, "nearest_anchor", "nearest_anchor_clip"]]
    own = units.loc[units["interpretable"], [*keys, "label"]].merge(
        near.astype({"unit": units["unit"].dtype}), on=keys, how="left"
    )
    table = units.groupby(GROUP, sort=False)[["interpretable"]].sum()
    table = table.astype(int).set_axis(["n_interpretable"], axis=1)
    counts = label_counts(units)
    table["labels"] = counts.groupby(GROUP).size().reindex(table.index, fill_value=0)
    table["entropy"] = counts.groupby(GROUP).agg(entropy).reindex(table.index, fill_value=0.0)
    table["effective_labels"] = np.where(table["labels"] > 0, 2 ** table["entropy"], 0.0)
    table["n_anchors"] = len(anchors)
    own["label"] = own["label"].where(own["label"].str.casefold().isin(anchors.str.casefold())).str.casefold()
    for name, column in (
        ("labelled_anchors", "label"),
        ("covered", "nearest_anchor"),
        ("covered_clip", "nearest_anchor_clip"),
    ):
        found = own.groupby(GROUP)[column].nunique().reindex(table.index, fill_value=0)
        table[name] = found / len(anchors) if len(anchors) else np.nan
    return table.reset_index()


def label_counts(units: pd.DataFrame) -> pd.Series:
    """How many interpretable units have a label: indexed by run, layer, epoch, label; counts from 1."""
    return units[units["interpretable"]].groupby([*GROUP, "label"]).size()


def entropy(counts: pd.Series) -> float:
    """In bits, of positive counts: -sum p log2 p, p = count / sum; 0 to log2(len(counts)), 0 for no counts."""
    share = counts.to_numpy() / counts.sum()
    return float(-(share * np.log2(share)).sum()) + 0.0  # not -0.0
