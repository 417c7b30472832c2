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
from cmon.workspace.keys import epoch_text

logger = logging.getLogger(__name__)

MAX_ANCHORS = 4_000
"""Placing anchors takes time and memory with the square of their number: for so many, 15 s and 1 GB."""
CONTENT = ("object", "part", "scene")
"""Categories of what a picture shows. The others, colors, textures and materials, say how it looks, and random filters
answer to that: of untrained units 90 % and more lie on a color already (docs/real-photographs.md)."""
ON = 0.25
"""Distance in CLIP's space within which a unit lies on an anchor: it has the same nearest one in the plane, too."""
MANY = 0.1
"""Share of the first epoch's units on anchors above which d_anchor is warned of..."""
FEW = 5
"""...if they are not fewer than this: of a head of ten classes two may lie there by accident."""
TextVectors = Callable[[Mapping[str, Any], Sequence[str]], np.ndarray]
"""From (the parameters of `score`, C texts) to (C,D) unit vectors."""


def choose_anchors(anchors: Sequence[Concept] | None, vocabulary: pd.DataFrame) -> list[Concept]:
    """The anchors, with the categories that they were scored under where they have none of their own.

    None takes the scored concepts of the categories CONTENT; where no concept has one of these, all that have a
    category. Raises CmonError when there is no anchor, or more than MAX_ANCHORS.
    """
    scored = [
        Concept(name, category if isinstance(category, str) else None)
        for name, category in zip(vocabulary["concept"], vocabulary["category"], strict=True)
    ]
    if anchors is None:
        categorized = with_category(scored)
        content = [concept for concept in categorized if folded(concept.category or "") in CONTENT]
        anchors = content or categorized
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


def warn_of_taken(units: pd.DataFrame) -> None:
    """Warn of layers whose units lie on anchors at their first epoch already: their d_anchor has little left to fall.

    units: the units' rows of the table `layout`.
    """
    live = units.dropna(subset=["distance_clip"])
    first = live[live["epoch"] == live.groupby(["run", "layer"])["epoch"].transform("min")]
    on = first["distance_clip"] <= ON
    layers = on.groupby([first["run"], first["layer"]], sort=False)
    shares = layers.mean()
    taken = shares[(shares > MANY) & (layers.sum() >= FEW)]
    if taken.empty:
        return
    (run, layer), share = taken.idxmax(), taken.max()
    rows = first[on & (first["run"] == run) & (first["layer"] == layer)]
    common = rows["nearest_anchor_clip"].value_counts().head(3)
    logger.warning(
        "d_anchor may mislead: at its first epoch (%s) %.0f %% of the units of %s of %s already lie on an anchor "
        "(%s)%s; an anchor that units answer to before says nothing of training: choose other --anchors",
        epoch_text(rows["epoch"].iloc[0]),
        100 * share,
        layer,
        run,
        ", ".join(f"{name} {count}" for name, count in common.items()),
        f", and over {MANY:.0%} in {len(taken) - 1} other layers" if len(taken) > 1 else "",
    )


def _warn_of_unscored(words: Sequence[str], scored: Sequence[str]) -> None:
    """An anchor that was not scored may be intended, or misspelled."""
    near = {word: get_close_matches(word, scored, n=1, cutoff=0.6) for word in words[:10]}
    listed = ", ".join(f"{word} ({found[0]}?)" if found else word for word, found in near.items())
    more = f" and {len(words) - 10} more" if len(words) > 10 else ""
    logger.warning("not among the scored concepts, placed by CLIP's vector alone: %s%s", listed, more)
