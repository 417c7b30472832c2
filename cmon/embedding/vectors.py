"""From the tables that `score` wrote to vectors in CLIP's text space: of units, anchors and other concepts."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd

from cmon.concepts import Concept, folded, with_category
from cmon.embedding.layouts import base as layout
from cmon.errors import CmonError
from cmon.workspace.files import digest
from cmon.workspace.keys import UNIT_KEYS
from cmon.workspace.selection import Choice
from cmon.workspace.workspace import Workspace

logger = logging.getLogger(__name__)

MOST = 4_000
"""Anchors. Placing them takes time and memory with the square of their number: for so many, 15 s and 1 GB."""
TextVectors = Callable[[Mapping[str, Any], Sequence[str]], np.ndarray]
"""From (the parameters of `score`, C texts) to (C,D) unit vectors."""


def listed(anchors: Sequence[Concept] | None, vocabulary: pd.DataFrame) -> list[Concept]:
    """The anchors, with the categories that they were scored under where they have none of their own.

    None takes all scored concepts that have a category. Raises CmonError when there is no anchor, or more than MOST.
    """
    scored = [
        Concept(name, category if isinstance(category, str) else None)
        for name, category in zip(vocabulary["concept"], vocabulary["category"], strict=True)
    ]
    if anchors is None:
        anchors = with_category(scored)
    if not anchors:
        raise CmonError(
            "there is no anchor",
            expected="concepts with a category, or a list of anchors",
            found=f"{len(vocabulary)} concepts, none with a category",
            hint="give a list or words: --anchors FILE, or --anchors dog --anchors 'tennis court'",
        )
    if len(anchors) > MOST:
        raise CmonError(
            f"{len(anchors):,} anchors: a plane has no room for so many",
            expected=f"at most {MOST:,} concepts of interest",
            found=f"{len(anchors):,}",
            hint="choose some: --anchors FILE, or --anchors dog --anchors 'tennis court'",
        )
    known = {folded(concept.name): concept.category for concept in scored}
    return [
        anchor if anchor.category else Concept(anchor.name, known.get(folded(anchor.name)))
        for anchor in anchors
    ]


def of_anchors(
    workspace: Workspace, vocabulary: pd.DataFrame, anchors: Sequence[Concept], text_vectors: TextVectors
) -> tuple[np.ndarray, np.ndarray]:
    """(A,D) unit vectors of the anchors, by CLIP where they were not scored; (O,D) of the scored concepts that are
    no anchors."""
    known = dict(zip(vocabulary["concept"].map(folded), vocabulary["vector"], strict=True))
    own = [folded(anchor.name) for anchor in anchors]
    mine = set(own)
    missing = [anchor.name for anchor in anchors if folded(anchor.name) not in known]
    others = [vector for name, vector in known.items() if name not in mine]
    if missing:
        _warn_of_unscored(missing, vocabulary["concept"].tolist())
        vectors = text_vectors(workspace.parameters("vocabulary"), missing)
        known |= zip(map(folded, missing), vectors, strict=True)
    found = np.stack([known[name] for name in own]).astype(np.float64)
    return found, np.array(others, dtype=np.float64).reshape(len(others), found.shape[1])


def _warn_of_unscored(words: Sequence[str], scored: Sequence[str]) -> None:
    """An anchor that was not scored may be meant, or mistyped."""
    near = {word: get_close_matches(word, scored, n=1, cutoff=0.6) for word in words[:10]}
    listed = ", ".join(f"{word} ({found[0]}?)" if found else word for word, found in near.items())
    more = f" and {len(words) - 10} more" if len(words) > 10 else ""
    logger.warning("not among the scored concepts, placed by CLIP's vector alone: %s%s", listed, more)


def identity(vocabulary: pd.DataFrame) -> str:
    """Equal for equal words with equal vectors, whichever units were scored with them."""
    vectors = np.stack(vocabulary["vector"].to_list())
    return digest(vocabulary["concept"].tolist(), hashlib.sha256(vectors.tobytes()).hexdigest())


def of_units(
    workspace: Workspace, vocabulary: pd.DataFrame, choice: Choice
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """The chosen units (run, layer, epoch, unit, status), the (L,) rows of those that are live, their (L,D) vectors."""
    units = workspace.read("units").select([*UNIT_KEYS, "status"]).to_pandas()
    concepts = workspace.read("concepts").select([*UNIT_KEYS, "rank", "concept", "score"]).to_pandas()
    ranks = int(concepts["rank"].max()) + 1 if len(concepts) else 1
    alive = np.flatnonzero(units["status"] == "ok")  # in `concepts`, in the same order
    chosen = choice.of(units.assign(row=np.arange(len(units))))
    live = np.flatnonzero(chosen["status"] == "ok")
    among = np.searchsorted(alive, chosen["row"].to_numpy()[live])  # which of the live ones
    position = pd.Series(np.arange(len(vocabulary)), index=vocabulary["concept"])
    index = position[concepts["concept"]].to_numpy().reshape(len(alive), ranks)[among]
    scores = concepts["score"].to_numpy(dtype=np.float64).reshape(len(alive), ranks)[among]
    texts = np.stack(vocabulary["vector"].to_list()).astype(np.float64)
    vectors = np.empty((len(live), texts.shape[1]))
    for start in range(0, len(live), 4096):  # (4096, ranks, D) at a time
        block = slice(start, start + 4096)
        vectors[block] = layout.unit_vectors(scores[block], texts[index[block]])
    return chosen.drop(columns="row"), live, vectors
