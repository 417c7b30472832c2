"""Against the layer's own first epoch: does a unit's label say more than that layer answers to anyway?

Random filters answer to colors, so that next to all units of an untrained layer beat a random order of the images. The
stricter question is asked concept by concept: how far a unit's score for its label lies above what the units of the
first epoch get for that concept. These units themselves, with their own labels, give the null distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cmon.scoring import significance

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.integer]

_LEAST = 1e-6
"""Of a deviation: a concept that gets the same score from all units of the first epoch surprises by any other."""


@dataclass(frozen=True)
class Moments:
    """What the units of a layer's first epoch get for some concepts, in the order of the list."""

    mean: npt.NDArray[np.float64]
    """(C,)"""
    deviation: npt.NDArray[np.float64]
    """(C,) standard deviation between units."""

    @classmethod
    def of(cls, scores: Floats) -> Moments:
        """From (K,C) scores of the first epoch's K units."""
        scores = scores.astype(np.float64)
        return cls(scores.mean(axis=0), np.maximum(scores.std(axis=0), _LEAST))

    @classmethod
    def joined(cls, blocks: Sequence[Moments]) -> Moments:
        """Of consecutive blocks of concepts."""
        return cls(
            np.concatenate([block.mean for block in blocks]),
            np.concatenate([block.deviation for block in blocks]),
        )

    def surprise(self, scores: Floats, concepts: Indices) -> npt.NDArray[np.float64]:
        """How many deviations each score, (K,), lies above the mean of its concept, (K,) positions in the list."""
        return (scores.astype(np.float64) - self.mean[concepts]) / self.deviation[concepts]


@dataclass(frozen=True)
class FirstEpoch:
    """A layer's first epoch, with which the others are compared."""

    moments: Moments
    surprises: npt.NDArray[np.float64]
    """(K,) of its own live units, for their own labels: the null distribution."""

    @classmethod
    def of(cls, moments: Moments, scores: Floats, concepts: Indices) -> FirstEpoch:
        """scores, concepts: (K,) of the labels of its live units."""
        return cls(moments, moments.surprise(scores, concepts))

    @classmethod
    def without_units(cls, concepts: int) -> FirstEpoch:
        """Of a first epoch where no unit is live: nothing passes."""
        return cls(Moments(np.zeros(concepts), np.ones(concepts)), np.empty(0))

    def p_values(self, scores: Floats, concepts: Indices) -> Floats:
        """(K,) of units at any epoch, from the scores and concepts of their labels.

        The share of the first epoch's units whose labels surprise at least as much, counting the unit itself:
        see `significance.p_values`. The first epoch's own units get p-values that are evenly spread, so that none of
        them passes.
        """
        return significance.p_values(self.moments.surprise(scores, concepts), self.surprises)


def fewest_units(rate: float) -> int:
    """How many live units a first epoch must have so that a unit can pass at a false discovery rate of `rate`.

    The smallest p-value of K units is 1 / (K + 1), and if all pass it must be at most `rate`. So no unit of a head of
    ten classes passes at 5 %, whatever it learned.
    """
    return int(np.ceil(round(1 / rate, 9))) - 1
