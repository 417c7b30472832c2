"""The anchors, which are the concepts of interest: their choice, and vectors of concepts in CLIP's text space."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd

from cmon.concepts import Concept, folded, with_category
from cmon.errors import CmonError

logger = logging.getLogger(__name__)

MAX_ANCHORS = 4_000
"""Placing anchors takes time and memory with the square of their number: for so many, 15 s and 1 GB."""
TextVectors = Callable[[Mapping[str, Any], Sequence[str]], np.ndarray]
"""From (the parameters of `score`, C texts) to (C,D) unit vectors."""


def choose_anchors(anchors: Sequence[Concept] | None, vocabulary: pd.DataFrame) -> list[Concept]:
    """The anchors, with the categories that they were scored under where they have none of their own.

    None takes all scored concepts that have a category. Raises CmonError when there is no anchor, or more than
    MAX_ANCHORS.
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
    if len(anchors) > MAX_ANCHORS:
        raise CmonError(
            f"{len(anchors):,} anchors: a plane has no room for so many",
            expected=f"at most {MAX_ANCHORS:,} concepts of interest",
            found=f"{len(anchors):,}",
            hint="choose some: --anchors FILE, or --anchors dog --anchors 'tennis court'",
        )
    known = {folded(concept.name): concept.category for concept in scored}
    return [
        anchor if anchor.category else Concept(anchor.name, known.get(folded(anchor.name)))
        for anchor in anchors
    ]


def concept_vectors(
    parameters: Mapping[str, Any],
    vocabulary: pd.DataFrame,
    anchors: Sequence[Concept],
    text_vectors: TextVectors,
) -> tuple[np.ndarray, np.ndarray]:
    """(A,D) unit vectors of the anchors, and (O,D) of the scored concepts that are no anchors.

    text_vectors: asked, with the parameters of `score`, for anchors that were not scored, and only for them.
    """
    known = dict(zip(vocabulary["concept"].map(folded), vocabulary["vector"], strict=True))
    names = [folded(anchor.name) for anchor in anchors]
    others = [vector for name, vector in known.items() if name not in set(names)]
    missing = [anchor.name for anchor in anchors if folded(anchor.name) not in known]
    if missing:
        _warn_of_unscored(missing, vocabulary["concept"].tolist())
        known |= zip(map(folded, missing), text_vectors(parameters, missing), strict=True)
    found = np.stack([known[name] for name in names]).astype(np.float64)
    return found, np.array(others, dtype=np.float64).reshape(len(others), found.shape[1])


def _warn_of_unscored(words: Sequence[str], scored: Sequence[str]) -> None:
    """An anchor that was not scored may be intended, or misspelled."""
    near = {word: get_close_matches(word, scored, n=1, cutoff=0.6) for word in words[:10]}
    listed = ", ".join(f"{word} ({found[0]}?)" if found else word for word, found in near.items())
    more = f" and {len(words) - 10} more" if len(words) > 10 else ""
    logger.warning("not among the scored concepts, placed by CLIP's vector alone: %s%s", listed, more)
