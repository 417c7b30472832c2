"""umap-learn's gradient descent, of some points among others that stay where they are.

umap-learn has no fixed points of its own. But it moves only the points of the array that it is given as heads, and a
slice of the array that it is given as tails will do for that: then heads move, and whatever lies behind them stays.
What lies behind its `n_vertices` is never drawn as a negative sample: it pulls, and pushes nobody off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cmon.embedding.layouts.base import Floats, Integers

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

PASSES = 5
"""Over the edges, in each round."""
MIN_DISTANCE = 0.01
"""umap-learn's `min_dist`. Its default, 0.1, keeps neighbours a little worse where units lie on their concepts."""
NEGATIVE_SAMPLES = 5
"""Points that one is pushed off from, for each edge that pulls it: umap-learn's default."""


@dataclass(frozen=True)
class Slice:
    """Points that move together and push each other off, while all others stay."""

    moving: Integers
    """(M,) rows of the points that move."""
    around: Integers
    """(N,) rows of the points that stay: first `pushing` that pull and push, then those that only pull."""
    pushing: int
    heads: Integers
    """(E,) edges: who is pulled, as a position in `moving`,"""
    tails: Integers
    """(E,) to whom, as a position in `moving` and `around`, one after the other,"""
    weights: Floats
    """(E,) and how firmly: over 0, up to 1."""
    phases: Floats
    """(E,) 0 to 1: the part of its first use that an edge has behind it at the start."""

    @classmethod
    def of(
        cls, graph: csr_matrix, moving: Integers, pushing: Integers, random: np.random.RandomState
    ) -> Slice:
        """From the edges of the moving points to all points, (M,P); no point is in both `moving` and `pushing`."""
        edges = graph.tocoo()
        ends = np.concatenate([moving, pushing])
        position = np.full(graph.shape[1], -1)
        position[ends] = np.arange(len(ends))
        pulling = np.unique(edges.col[position[edges.col] < 0])
        position[pulling] = len(ends) + np.arange(len(pulling))
        around = np.concatenate([pushing, pulling])
        phases = random.uniform(size=edges.nnz)
        return cls(moving, around, len(pushing), edges.row, position[edges.col], edges.data, phases)

    def uses(self, number: int) -> Integers:
        """(E,) how often each edge is used in the round of that number.

        umap-learn starts each call afresh, so that in a short one an edge with a small weight would never have its
        turn. Over all rounds these are used in proportion to their weight.
        """
        each = self.weights * PASSES
        return np.floor(each * (number + 1) + self.phases) - np.floor(each * number + self.phases)


def descend(places: Floats, part: Slice, number: int, rate: float, random: np.random.RandomState) -> None:
    """One round, of PASSES over the edges: moves the points `part.moving` of `places` (P,2), in UMAP's unit of length.

    number: of the round, from 0. rate: of learning at the first pass; it falls to 0 within the round.
    """
    from umap.layouts import optimize_layout_euclidean
    from umap.umap_ import find_ab_params

    uses = part.uses(number)
    used = uses > 0
    if not used.any():
        return
    near = places[np.concatenate([part.moving, part.around])].astype(np.float32)
    a, b = find_ab_params(1.0, MIN_DISTANCE)
    optimize_layout_euclidean(
        near[: len(part.moving)],
        near,
        part.heads[used].astype(np.int32),
        part.tails[used].astype(np.int32),
        PASSES,
        len(part.moving) + part.pushing,
        (PASSES - 1) / uses[used],  # passes from one use to the next
        a,
        b,
        random.randint(-(2**31) + 1, 2**31 - 1, 3).astype(np.int64),
        initial_alpha=rate,
        negative_sample_rate=NEGATIVE_SAMPLES,
        parallel=False,  # only so does a seed decide the places
        move_other=False,
    )
    places[part.moving] = near[: len(part.moving)]
