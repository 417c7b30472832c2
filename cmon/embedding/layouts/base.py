"""What a layout is: the protocol that each one follows, the values that go in and come out, the plane's unit of length.

A layout places the units of all runs, layers and epochs together with the anchors, in one fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Points:
    """Units at their epochs, one row each; those without a vector are not among them."""

    vectors: Floats
    """(P,D), unit length."""
    units: Integers
    """(P,): equal for the same unit of the same run and layer."""
    epochs: Floats
    """(P,): no unit has the same epoch twice."""
    groups: Integers
    """(P,): equal for units of the same run and layer."""

    def steps(self) -> tuple[Integers, Integers]:
        """(S,) rows before and (S,) rows after: each unit at each epoch, and at the next at which it has a vector."""
        order = np.lexsort((self.epochs, self.units))
        same = self.units[order[:-1]] == self.units[order[1:]]
        return order[:-1][same], order[1:][same]

    def followed_by(self, more: Points) -> Points:
        """Both, one after the other; a number stands for the same unit, or the same group, in both."""
        return Points(
            np.concatenate([self.vectors, more.vectors]),
            np.concatenate([self.units, more.units]),
            np.concatenate([self.epochs, more.epochs]),
            np.concatenate([self.groups, more.groups]),
        )

    def subset(self, rows: npt.NDArray[Any]) -> Points:
        """Those of the rows, given as numbers or as a mask."""
        return Points(self.vectors[rows], self.units[rows], self.epochs[rows], self.groups[rows])


@dataclass(frozen=True)
class Places:
    """Places in the plane. The origin is the anchors' centroid, the unit of length their RMS distance from it."""

    points: Floats
    """(P,2)."""
    anchors: Floats
    """(A,2)."""


@dataclass(frozen=True)
class Fitted:
    """What has a place already, by a fit or among what was fitted, and where."""

    points: Points
    anchors: Floats
    """(A,D) unit vectors."""
    places: Places
    by_fit: npt.NDArray[np.bool_]
    """(P,) whether a point took part in the fit."""


class Layout(Protocol):
    """A way to place units and anchors in a plane: a frozen dataclass, whose fields are its options.

    A fit depends on its arguments and the options alone. It reads and writes no file.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    name: ClassVar[str]
    """As the command line and the tables spell it: its key in the registry."""

    def fit(self, points: Points, anchors: Floats, others: Floats, seed: int) -> Places:
        """Places of all points and anchors, normalised by a `Frame`.

        anchors (A,D), others (O,D): unit vectors of the anchors, at least one, and of the scored concepts that are
        no anchors. There may be no points and no others.
        """


@runtime_checkable
class UpdatableLayout(Layout, Protocol):
    """A layout that can place units later, while all that it has placed already stays where it is."""

    def place(self, points: Points, fitted: Fitted, others: Floats, seed: int) -> Floats:
        """(N,2) places of N new points, in the frame of `fitted.places`. others, seed: those of the fit.

        A number stands for the same unit, or the same group, in `points` and `fitted.points`; no unit has the same
        epoch in both.
        """


@dataclass(frozen=True)
class Frame:
    """The plane's origin and unit of length."""

    centre: Floats
    """(2,) the anchors' centroid."""
    length: float
    """The anchors' RMS distance from it."""

    @classmethod
    def of(cls, anchors: Floats, points: Floats) -> Frame:
        """Of places (A,2), at least one, and (P,2).

        Anchors that all lie in one place (or a single one) have no radius: then the RMS distance of the points from
        them is the unit; or 1 where there is none either.
        """
        centre = anchors.mean(axis=0)
        for places in (anchors, points):
            length = math.sqrt(((places - centre) ** 2).sum(axis=1).mean()) if len(places) else 0.0
            if length >= 1e-9:
                return cls(centre, length)
        return cls(centre, 1.0)

    def normalise(self, places: Floats) -> Floats:
        return (places - self.centre) / self.length


def normalise_places(points: Floats, anchors: Floats) -> Places:
    """Both moved and scaled alike into the anchors' own frame."""
    frame = Frame.of(anchors, points)
    return Places(frame.normalise(points), frame.normalise(anchors))


def normalise_anchors(places: Floats) -> Floats:
    """Centred, with an RMS distance from the centre of 1. A single place goes to 0."""
    return normalise_places(places, places).anchors


def softmax(values: Floats) -> Floats:
    """Over the last axis; no value overflows."""
    values = np.exp(values - values.max(axis=-1, keepdims=True))
    return values / values.sum(axis=-1, keepdims=True)


def normalise_vectors(vectors: Floats) -> Floats:
    """Unit length over the last axis; a vector of length 0 stays so."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
