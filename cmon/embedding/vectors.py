"""Vectors of units in CLIP's text space: from the scores of a unit's top concepts, and from the tables of `score`."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from cmon.embedding.layouts.base import Floats, normalise_vectors, softmax
from cmon.workspace.files import digest
from cmon.workspace.keys import UNIT_KEYS
from cmon.workspace.selection import Choice
from cmon.workspace.workspace import Workspace


def vectors_from_scores(scores: Floats, concepts: Floats) -> Floats:
    """Each unit's vector: normalised sum over its top concepts of softmax(score) times the text vector.

    scores: (K,R) of the R top concepts; concepts: (K,R,D) their text vectors. Returns (K,D), unit length.
    """
    return normalise_vectors(np.einsum("kr,krd->kd", softmax(scores), concepts))


def read_unit_vectors(
    workspace: Workspace, vocabulary: pd.DataFrame, choice: Choice
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """The chosen units (run, layer, epoch, unit, status), the (L,) rows of live ones, and these' (L,D) vectors.

    The last is (L,) of uint64, a fingerprint of each live unit and its scores: equal for equal ones, anywhere.
    """
    units = workspace.read("units").select([*UNIT_KEYS, "status"]).to_pandas()
    concepts = workspace.read("concepts").select([*UNIT_KEYS, "rank", "concept", "score"]).to_pandas()
    ranks = int(concepts["rank"].max()) + 1 if len(concepts) else 1
    live_units = np.flatnonzero(units["status"] == "ok")  # those in `concepts`, in the same order
    chosen = choice.of(units.assign(row=np.arange(len(units))))
    live = np.flatnonzero(chosen["status"] == "ok")
    block_of = np.searchsorted(live_units, chosen["row"].to_numpy()[live])  # `ranks` rows of `concepts` each
    position = pd.Series(np.arange(len(vocabulary)), index=vocabulary["concept"])
    index = position[concepts["concept"]].to_numpy().reshape(len(live_units), ranks)[block_of]
    scores = concepts["score"].to_numpy(dtype=np.float64).reshape(len(live_units), ranks)[block_of]
    hashes = pd.util.hash_pandas_object(concepts, index=False).to_numpy()
    fingerprints = hashes.reshape(len(live_units), ranks)[block_of].sum(axis=1, dtype=np.uint64)
    texts = np.stack(vocabulary["vector"].to_list()).astype(np.float64)
    vectors = np.empty((len(live), texts.shape[1]))
    for start in range(0, len(live), 4096):  # (4096, ranks, D) at a time
        block = slice(start, start + 4096)
        vectors[block] = vectors_from_scores(scores[block], texts[index[block]])
    return chosen.drop(columns="row"), live, vectors, fingerprints


def vocabulary_digest(vocabulary: pd.DataFrame) -> str:
    """Equal for equal words with equal vectors, whichever units were scored with them."""
    vectors = np.stack(vocabulary["vector"].to_list())
    return digest(vocabulary["concept"].tolist(), hashlib.sha256(vectors.tobytes()).hexdigest())
