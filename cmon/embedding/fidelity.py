"""How far a plane keeps what CLIP's space says: what a layout may be read for, in numbers and in a sentence.

Everything is measured twice, between unit vectors in CLIP's space and between places in the plane, and compared.
Only orders are compared: a plane has other lengths, but near must be near and far must be far.
"""

from __future__ import annotations

from collections.abc import Iterable
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
MOST_ASKED = 2_048
"""Points per epoch whose neighbours are looked at, among all points of the epoch: all if there are no more. The
standard error of trustworthiness is then under 0.005."""
MOST_PAIRS = 1_000_000
"""Unit-anchor pairs that are ranked: all if there are no more. The standard error of rho is then about 0.001."""
STILL = 0.01
"""The share of steps, the shortest in CLIP's space, that count as standing still."""

FOLLOWS = 0.8
"""From here on an order is said to be kept. Kendall's tau of 0.8: of ten pairs, nine are in the same order.
Spearman's rho of 0.8: of ten pairs, eight (for normally distributed values)."""
TRUSTED = 0.8
"""From this trustworthiness on neighbours are said to be neighbours; random places have 0.5."""
STANDS = 0.05
"""Up to this part of a moving unit's step a still unit is said to stand still."""
FEWEST_GROUPS = 6
"""Under so many runs, layers and epochs tau says nothing: of four, one order in 24 is perfect by chance."""

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
    """What a plane keeps. Each number is NaN where there is nothing to compare."""

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
    """-1 to 1: Spearman's correlation of the units' distances to their nearest anchor, which is the nearest one of
    each space, as in d_anchor. NaN if these are all the same."""
    same_anchor: float
    """0 to 1: share of the units whose nearest anchor in the plane is their nearest in CLIP's space. Random places
    have about one over the number of anchors. NaN with a single anchor."""
    anchor_distance: float
    """-1 to 1: Spearman's correlation of the distances between units and anchors, over all pairs: whether far
    anchors, too, are at their distance. Hardly any plane can keep that: in CLIP's space most anchors are about
    equally far from a unit, in many directions. NaN if they are all the same."""
    d_anchor: float
    """-1 to 1: Kendall's tau of d_anchor and d_anchor_clip over (run, layer, epoch). NaN with fewer than two."""
    groups: int
    """How many (run, layer, epoch) that is over."""
    epochs: pd.DataFrame = field(repr=False, compare=False)
    """One row per epoch, rising: epoch, points, steps, and the columns of PER_EPOCH. Steps count for the epoch
    they lead to; which of them are still is decided over all epochs."""


def of_layout(
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
    seed: of the samples, which are taken where an epoch has more than MOST_ASKED points or there are more than
    MOST_PAIRS pairs. Points without a finite vector and place are left out.
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
    limit = np.quantile(steps["clip"], STILL) if len(steps) else np.nan
    per_epoch = []
    for one in np.unique(epoch):
        rows = np.flatnonzero(epoch == one)
        queries = None
        if len(rows) > MOST_ASKED:
            queries = np.sort(generator.choice(len(rows), MOST_ASKED, replace=False))
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


def rows(found: Fidelity, seed: int) -> pd.DataFrame:
    """A layout's numbers as rows of schemas.FIDELITY: seed (of the layout), epoch, measure, value.

    The measures of OVERALL with no epoch, then those of PER_EPOCH for each epoch; no value where it is NaN.
    """
    overall = pd.DataFrame({"measure": OVERALL, "value": [getattr(found, name) for name in OVERALL]})
    each = found.epochs.melt("epoch", PER_EPOCH, "measure", "value")
    table = pd.concat([overall.assign(epoch=np.nan), each.astype({"epoch": float, "value": float})])
    return table.assign(seed=seed)[["seed", "epoch", "measure", "value"]].reset_index(drop=True)


def spread(table: pd.DataFrame) -> pd.DataFrame:
    """Over the layouts in a table of `rows`: measure, mean, low, high, seeds; of the measures with no epoch.

    low, high: the smallest and largest value. NaN values are left out; `seeds` counts the others.
    """
    overall = table[table["epoch"].isna()]
    grouped = overall.groupby("measure")["value"].agg(["mean", "min", "max", "count"]).reindex(list(OVERALL))
    return grouped.set_axis(["mean", "low", "high", "seeds"], axis=1).reset_index()


def sentence(found: Fidelity) -> str:
    """What the plane may be read for, plainly: d_anchor, single neurons, movement and neighbourhoods.

    What is measured is called readable from FOLLOWS, TRUSTED and STANDS on; what could not be measured is named.
    """
    parts = list(_verdicts(found))
    return "; ".join(parts) + "."


def _verdicts(found: Fidelity) -> Iterable[str]:
    tau, rho = found.d_anchor, found.nearest_distance
    if np.isnan(tau) or found.groups < FEWEST_GROUPS:
        yield "whether d_anchor orders the epochs as CLIP space does cannot be told from so few"
    elif tau >= FOLLOWS:
        yield f"d_anchor orders the epochs as CLIP space does (tau {tau:.2f}): read it"
    else:
        yield f"d_anchor does not order the epochs as CLIP space does (tau {tau:.2f}): read d_anchor_clip"
    if np.isfinite(rho):
        kept = rho >= FOLLOWS
        yield (
            f"a single neuron's distance to its nearest anchor {'follows' if kept else 'does not follow'} CLIP space "
            f"(rho {rho:.2f}): {'read it' if kept else 'do not read it'}"
        )
        yield from _anchor_verdict(found)
    yield _movement_verdict(found)
    trust = found.trustworthiness
    if np.isfinite(trust):
        kept = trust >= TRUSTED
        yield (
            f"neighbours {'are' if kept else 'are often not'} neighbours (trustworthiness {trust:.2f}): "
            f"{'read' if kept else 'do not read'} groups"
        )


def _anchor_verdict(found: Fidelity) -> Iterable[str]:
    same, rho = found.same_anchor, found.anchor_distance
    if np.isfinite(same):
        yield (
            f"the anchor nearest to a neuron is its nearest in CLIP space for {same:.0%}: "
            f"{'read' if same >= FOLLOWS else 'look up'} its name"
        )
    if np.isfinite(rho) and rho < FOLLOWS:
        yield f"distances to other anchors are not kept (rho {rho:.2f}): do not read them"


def _movement_verdict(found: Fidelity) -> str:
    rho, still = found.displacement, found.still_step
    if np.isnan(rho):
        return "movement cannot be told"
    if not still <= STANDS and np.isfinite(still):
        return f"neurons that stand still seem to move ({still:.2f} of a step): do not read movement"
    if rho >= FOLLOWS:
        return f"movement follows CLIP space (rho {rho:.2f}): read it"
    return f"movement does not follow CLIP space (rho {rho:.2f}): do not read its length"


def _steps(keys: pd.DataFrame, vectors: Floats, places: Floats) -> pd.DataFrame:
    """One row per step: epoch (it leads to), clip and plane (its lengths)."""
    before = trajectories.links(keys).adjacent
    lengths = {"clip": trajectories.lengths(vectors, before), "plane": trajectories.lengths(places, before)}
    return keys[["epoch"]].astype(np.float64).assign(**lengths)[before >= 0]


def _nearest(vectors: Floats, places: Floats, anchors: Floats, anchor_places: Floats) -> pd.DataFrame:
    """One row per point: clip and plane (distances to the nearest anchor in each), same (1 if it is one, else 0)."""
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
    some = total > MOST_PAIRS
    taken = np.sort(generator.integers(total, size=MOST_PAIRS)) if some else np.arange(total)
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
    """limit: steps up to it in CLIP's space are still; it counts itself, since many may be exactly 0."""
    still = steps["clip"] <= limit
    size = steps.loc[~still, "plane"].median() if not still.all() else np.nan
    if not still.any() or not size > 0:
        return float("nan")
    return float(steps.loc[still, "plane"].mean() / size)
