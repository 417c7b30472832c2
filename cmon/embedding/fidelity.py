"""Fidelity of a layout: how far the plane keeps the neighbours, the distances and the movement of CLIP's space.

Everything is measured twice, between unit vectors in CLIP's space and between places in the plane. Only orders are
compared: lengths differ in a plane, but near must stay near and far must stay far.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from cmon import trajectories
from cmon.embedding.distances import nearest
from cmon.embedding.trustworthiness import neighbours_kept
from cmon.rank_correlation import kendall_tau, spearman
from cmon.workspace.keys import GROUP

Floats = npt.NDArray[np.floating]
MAX_QUERIES = 8_192
"""Points whose neighbours are compared, each among all points of its epoch; more are sampled, as many of each epoch.
The standard error of trustworthiness is then under 0.003."""
MIN_QUERIES = 256
"""But at least so many of each epoch, where there are many: the standard error of an epoch is then under 0.015."""
MAX_PAIRS = 1_000_000
"""Unit-anchor pairs that are ranked; more are sampled. The standard error of rho is then about 0.001."""
STILL_SHARE = 0.01
"""The share of steps, the shortest in CLIP's space, that count as standing still."""

PER_EPOCH = (
    "trustworthiness",
    "continuity",
    "still_step",
    "displacement",
    "nearest_distance",
    "same_anchor",
    "anchor_distance",
)
OVERALL = (*PER_EPOCH, "d_anchor")


@dataclass(frozen=True)
class Fidelity:
    """What a layout keeps of CLIP's space. Each number is NaN where there is nothing to compare."""

    trustworthiness: float
    """0 to 1, 0.5 for random places: whether neighbours in the plane are neighbours in CLIP's space; k = 10, among
    all points of an epoch, mean over epochs. See `trustworthiness.neighbours_kept`."""
    continuity: float
    """The same, whether neighbours in CLIP's space are neighbours in the plane."""
    still_step: float
    """0 or more: mean step in the plane of units that stand still in CLIP's space (their step there is in the
    first percentile of all steps) over the median step in the plane of all others. From 1 on, all movement in the
    plane may be invented. NaN without steps, if all are equally long in CLIP's space, or if half of the others do not
    move in the plane."""
    displacement: float
    """-1 to 1: Spearman's correlation of step lengths. A step goes from one epoch of a run and layer to the next one
    at which any of its units has a vector, for units that have one at both. NaN with one epoch."""
    nearest_distance: float
    """-1 to 1: Spearman's correlation of the units' distances to their nearest anchor, as in d_anchor; each space has
    its own nearest. NaN if these are all the same."""
    same_anchor: float
    """0 to 1: share of the units whose nearest anchor in the plane is their nearest in CLIP's space. Random places
    have about one over the number of anchors. NaN with a single anchor."""
    anchor_distance: float
    """-1 to 1: Spearman's correlation of the distances between units and anchors, over all pairs, far anchors
    included. Hardly any plane can keep that: in CLIP's space most anchors are about equally far from a unit, in many
    directions. NaN if they are all the same."""
    d_anchor: float
    """-1 to 1: Kendall's tau of d_anchor and d_anchor_clip over (run, layer, epoch). NaN with fewer than two."""
    groups: int
    """The number of (run, layer, epoch) behind `d_anchor`."""
    epochs: pd.DataFrame = field(repr=False, compare=False)
    """One row per epoch, rising: epoch, points, steps, and the columns of PER_EPOCH. A step belongs to the epoch
    that it leads to; which steps are still is decided over all epochs."""


def measure(
    keys: pd.DataFrame,
    vectors: Floats,
    places: Floats,
    anchors: Floats,
    anchor_places: Floats,
    seed: int = 0,
) -> Fidelity:
    """Compare a layout with CLIP's space.

    keys: (P rows) with the columns run, layer, epoch, unit; no key twice, in any order, of units that have a vector.
    vectors (P,D), anchors (A,D): unit vectors of any float type. places (P,2), anchor_places (A,2).
    seed: of the samples where there are more than MAX_QUERIES points or MAX_PAIRS pairs.
    Points without a finite vector and place are left out.
    """
    known = np.flatnonzero(np.isfinite(vectors).all(axis=1) & np.isfinite(places).all(axis=1))
    if len(known) < len(keys):
        keys, vectors, places = keys.iloc[known], vectors[known], places[known]
    keys = keys.reset_index(drop=True)
    epoch = keys["epoch"].to_numpy(dtype=np.float64)
    generator = np.random.default_rng(seed)

    steps = _steps(keys, vectors, places)
    pairs = _pairs(vectors, places, anchors, anchor_places, generator)
    nearest = _nearest(vectors, places, anchors, anchor_places)
    limit = np.quantile(steps["clip"], STILL_SHARE) if len(steps) else np.nan
    per_epoch = []
    every = np.unique(epoch)
    asked = max(MIN_QUERIES, MAX_QUERIES // max(len(every), 1))
    for one in every:
        rows = np.flatnonzero(epoch == one)
        queries = None
        if len(rows) > asked:
            queries = np.sort(generator.choice(len(rows), asked, replace=False))
        trust, continuity = neighbours_kept(vectors[rows], places[rows], queries=queries)
        own_steps, own_nearest = steps[steps["epoch"] == one], nearest[epoch == one]
        per_epoch.append(
            {
                "epoch": float(one),
                "points": len(rows),
                "steps": len(own_steps),
                "trustworthiness": trust,
                "continuity": continuity,
                "still_step": _still_step(own_steps, limit),
                "displacement": _spearman(own_steps),
                "nearest_distance": _spearman(own_nearest),
                "same_anchor": float(own_nearest["same"].mean()),
                "anchor_distance": _spearman(pairs[epoch[pairs["point"]] == one]),
            }
        )
    epochs = pd.DataFrame(per_epoch, columns=["epoch", "points", "steps", *PER_EPOCH])
    means = nearest[["clip", "plane"]].groupby([keys[name] for name in GROUP]).mean()
    return Fidelity(
        trustworthiness=float(epochs["trustworthiness"].mean()),
        continuity=float(epochs["continuity"].mean()),
        still_step=_still_step(steps, limit),
        displacement=_spearman(steps),
        nearest_distance=_spearman(nearest),
        same_anchor=float(nearest["same"].mean()),
        anchor_distance=_spearman(pairs),
        d_anchor=kendall_tau(means["plane"], means["clip"]),
        groups=len(means),
        epochs=epochs,
    )


def to_rows(found: Fidelity, seed: int) -> pd.DataFrame:
    """One layout's measures as rows of schemas.FIDELITY: seed (of the layout), epoch, measure, value.

    First the measures of OVERALL, without an epoch, then those of PER_EPOCH for each epoch.
    """
    overall = pd.DataFrame({"measure": OVERALL, "value": [getattr(found, name) for name in OVERALL]})
    each = found.epochs.melt("epoch", PER_EPOCH, "measure", "value")
    table = pd.concat([overall.assign(epoch=np.nan), each.astype({"epoch": float, "value": float})])
    return table.assign(seed=seed)[["seed", "epoch", "measure", "value"]].reset_index(drop=True)


def spread_over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Over the layouts in a table of `to_rows`: measure, mean, low, high, seeds; only measures without an epoch.

    low, high: the smallest and the largest value. NaN values are left out; `seeds` counts the others.
    """
    overall = table[table["epoch"].isna()]
    grouped = overall.groupby("measure")["value"].agg(["mean", "min", "max", "count"]).reindex(list(OVERALL))
    return grouped.set_axis(["mean", "low", "high", "seeds"], axis=1).reset_index()


def _steps(keys: pd.DataFrame, vectors: Floats, places: Floats) -> pd.DataFrame:
    """One row per step: epoch (that it leads to), clip and plane (its length in each space)."""
    before = trajectories.links(keys).adjacent
    lengths = {"clip": trajectories.lengths(vectors, before), "plane": trajectories.lengths(places, before)}
    return keys[["epoch"]].astype(np.float64).assign(**lengths)[before >= 0]


def _nearest(vectors: Floats, places: Floats, anchors: Floats, anchor_places: Floats) -> pd.DataFrame:
    """One row per point: clip and plane (distance to the nearest anchor in each space), same (1 if it is the same
    anchor, else 0)."""
    near, plane = nearest(places, anchor_places)
    near_clip, clip = nearest(vectors, anchors)
    same = np.where(len(anchors) > 1, near == near_clip, np.nan)
    return pd.DataFrame({"clip": clip, "plane": plane, "same": same})


def _pairs(
    vectors: Floats,
    places: Floats,
    anchors: Floats,
    anchor_places: Floats,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """One row per unit-anchor pair: point (row in vectors), clip and plane (squared distances)."""
    total = len(vectors) * len(anchors)
    sampled = total > MAX_PAIRS
    taken = np.sort(generator.integers(total, size=MAX_PAIRS)) if sampled else np.arange(total)
    point, anchor = np.divmod(taken, len(anchors)) if len(anchors) else (taken, taken)
    found = {name: np.empty(len(taken)) for name in ("clip", "plane")}
    for start in range(0, len(vectors), 4096):
        pairs = slice(*np.searchsorted(point, [start, start + 4096]))
        own = point[pairs] - start, anchor[pairs]
        for name, points, targets in (("clip", vectors, anchors), ("plane", places, anchor_places)):
            part = points[start : start + 4096]
            squares = (part**2).sum(1)[:, None] + (targets**2).sum(1)[None] - 2 * part @ targets.T
            found[name][pairs] = squares[own]
    return pd.DataFrame({"point": point, **found})


def _spearman(compared: pd.DataFrame) -> float:
    return spearman(compared["clip"], compared["plane"])


def _still_step(steps: pd.DataFrame, limit: float) -> float:
    """limit: a step is still up to this length in CLIP's space, limit included, since many may be exactly 0."""
    still = steps["clip"] <= limit
    size = steps.loc[~still, "plane"].median() if not still.all() else np.nan
    if not still.any() or not size > 0:
        return float("nan")
    return float(steps.loc[still, "plane"].mean() / size)
