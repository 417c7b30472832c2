"""The layout `pca`: the principal plane of all units and anchors. A place is a function of the vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cmon.embedding.layouts.base import Fitted, Floats, Frame, Places, Points, UpdatableLayout


@dataclass(frozen=True)
class Pca(UpdatableLayout):
    """The principal plane; new units are projected onto the plane of the fitted ones."""

    name: ClassVar[str] = "pca"

    def fit(self, points: Points, anchors: Floats, others: Floats, seed: int) -> Places:
        plane, frame = _fit(points.vectors, anchors)
        return Places(frame.normalise(plane.project(points.vectors)), frame.normalise(plane.project(anchors)))

    def place(self, points: Points, fitted: Fitted, others: Floats, seed: int) -> Floats:
        plane, frame = _fit(fitted.points.vectors[fitted.by_fit], fitted.anchors)
        return frame.normalise(plane.project(points.vectors))


@dataclass(frozen=True)
class PrincipalPlane:
    """A plane through the mean of some vectors."""

    centre: Floats
    """(D,)."""
    axes: Floats
    """(D,2)."""

    @classmethod
    def of(cls, vectors: Floats) -> PrincipalPlane:
        """The plane in which the vectors (N,D) vary most; an axis along which none varies is 0.

        Not sklearn.decomposition.PCA: equal to 1e-13, but its import takes a second, which no fit of `anchored`
        takes, and it divides by 0 where all vectors are equal or there is only one.
        """
        centre = vectors.mean(axis=0)
        values, directions = np.linalg.eigh((vectors - centre).T @ (vectors - centre))
        order = np.argsort(-values)[:2]
        axes = np.zeros((vectors.shape[1], 2))
        spanned = values[order] > 1e-12 * max(values[order[0]], 1e-300)
        axes[:, : len(order)] = directions[:, order] * spanned
        # The sign of a component is arbitrary and differs between libraries: its largest entry is made positive.
        signs = np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
        return cls(centre, axes * signs)

    def project(self, vectors: Floats) -> Floats:
        """(N,D) to (N,2)."""
        return (vectors - self.centre) @ self.axes


def _fit(vectors: Floats, anchors: Floats) -> tuple[PrincipalPlane, Frame]:
    plane = PrincipalPlane.of(np.vstack([vectors, anchors]))
    return plane, Frame.of(plane.project(anchors), plane.project(vectors))
