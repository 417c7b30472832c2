"""A workspace as `score` leaves it, made in code from a seed: what `embed` reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cmon.workspace import schemas
from cmon.workspace.keys import UNIT_KEYS
from cmon.workspace.workspace import Workspace
from tests.support import stored_scores
from tests.support.directions import WIDTH, directions, families

RANKS = 3
NAMES = [f"thing {index}" for index in range(42)]
OTHERS = [f"other {index}" for index in range(12)]


def texts() -> dict[str, np.ndarray]:
    """The text vectors of all concepts: those with a category come in families, the others lie anywhere."""
    return dict(zip([*NAMES, *OTHERS], np.vstack([families(), directions(len(OTHERS), seed=9)]), strict=True))


def word_vectors(_: Mapping[str, Any], words: Sequence[str]) -> np.ndarray:
    """CLIP's, of words that were not scored."""
    return np.stack([directions(1, seed=sum(word.encode()))[0] for word in words])


def unasked(_: Mapping[str, Any], words: Sequence[str]) -> np.ndarray:
    raise AssertionError(f"all anchors were scored, and yet the vectors of {words} were asked for")


def units(
    runs: Mapping[str, int], layers: Mapping[str, int], dead: Callable[[pd.Series], bool] = lambda row: False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of the tables units and concepts, of runs with so many epochs and layers with so many units.

    A unit's three concepts are the same at all epochs; the scores turn from the last one to the first.
    """
    found = pd.DataFrame(
        [
            {"run": run, "layer": layer, "epoch": float(epoch), "unit": unit}
            for run, epochs in runs.items()
            for layer, count in layers.items()
            for epoch in range(epochs)
            for unit in range(count)
        ]
    )
    found["status"] = np.where(found.apply(dead, axis=1), "dead", "ok")
    words = [*NAMES, *OTHERS]
    concepts = []
    for row in found[found["status"] == "ok"].to_dict("records"):
        random = np.random.default_rng([row["unit"], len(row["layer"])])
        chosen = random.choice(len(words), RANKS, replace=False)
        speed = 0 if row["unit"] % 5 == 0 else random.uniform(0.2, 1)
        scores = random.normal(size=RANKS) + speed * row["epoch"] * np.array([1, 0, -1])
        for rank, at in enumerate(np.argsort(-scores, kind="stable")):
            own = {"rank": rank, "concept": words[chosen[at]], "score": scores[at]}
            concepts.append({**{key: row[key] for key in UNIT_KEYS}, **own})
    return found.assign(interpretable=found["status"] == "ok"), pd.DataFrame(concepts)


def write(folder: Path, units: pd.DataFrame, concepts: pd.DataFrame) -> Workspace:
    workspace = Workspace(folder)
    vectors = texts()
    vocabulary = pa.table(
        {
            "concept": list(vectors),
            "category": ["object" if name in NAMES else None for name in vectors],
            "vector": schemas.vectors(np.stack(list(vectors.values())).astype(np.float32)),
        },
        schema=schemas.vocabulary(WIDTH),
    )
    workspace.write(workspace.table("vocabulary"), vocabulary, "the words", {})
    tables = [
        pa.Table.from_pandas(frame.reindex(columns=schema.names), schema=schema, preserve_index=False)
        for frame, schema in (
            (units.assign(top_images=[[]] * len(units), top_activations=[[]] * len(units)), schemas.UNITS),
            (concepts, schemas.CONCEPTS),
        )
    ]
    stored_scores.write(workspace, *tables)
    return workspace


def vector_of(concepts: pd.DataFrame) -> np.ndarray:
    """Of one unit at one epoch, from the definition: normalised sum of softmax(score) times the text vector."""
    text = texts()
    weights = np.exp(concepts["score"].to_numpy())
    vector = sum(
        weight * text[word] for weight, word in zip(weights / weights.sum(), concepts["concept"], strict=True)
    )
    return vector / np.linalg.norm(vector)
