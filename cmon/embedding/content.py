"""What is placed: the chosen units that have a vector, the anchors and other concepts, from the tables of `score`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cmon.concepts import Concept
from cmon.embedding.anchors import TextVectors, concept_vectors
from cmon.embedding.layouts.base import Points
from cmon.embedding.vectors import read_unit_vectors
from cmon.workspace.keys import TRAJECTORY, UNIT_KEYS
from cmon.workspace.selection import Choice
from cmon.workspace.workspace import Workspace


@dataclass(frozen=True)
class Content:
    """The chosen units and the anchors, with their vectors in CLIP's space."""

    units: pd.DataFrame
    """run, layer, epoch, unit, status: live or not."""
    live: np.ndarray
    """(L,) rows of `units`: those that have a vector."""
    points: Points
    """The L live units."""
    anchors: np.ndarray
    """(A,D)."""
    others: np.ndarray
    """(O,D): scored concepts that are no anchors."""
    fingerprints: np.ndarray
    """(L,) of uint64: of each live unit and its scores."""

    @property
    def keys(self) -> pd.DataFrame:
        """run, layer, epoch, unit of the L live units."""
        return self.units.iloc[self.live][UNIT_KEYS]


def read_content(
    workspace: Workspace,
    vocabulary: pd.DataFrame,
    anchors: Sequence[Concept],
    text_vectors: TextVectors,
    choice: Choice,
) -> Content:
    """Raises CmonError when something chosen is not there."""
    units, live, vectors, fingerprints = read_unit_vectors(workspace, vocabulary, choice)
    rows = units.iloc[live]
    points = Points(
        vectors,
        rows.groupby(TRAJECTORY).ngroup().to_numpy(),
        rows["epoch"].to_numpy(dtype=np.float64),
        rows.groupby(["run", "layer"]).ngroup().to_numpy(),
    )
    parameters = workspace.parameters("vocabulary")
    placed = concept_vectors(parameters, vocabulary, anchors, text_vectors)
    return Content(units, live, points, *placed, fingerprints)
