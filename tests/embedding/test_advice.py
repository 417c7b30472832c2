"""The sentence says what may be read, and warns of each thing alone. On measured layouts: see test_fidelity."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest

from cmon.embedding import advice
from cmon.embedding.fidelity import Fidelity

GOOD = Fidelity(0.9, 0.9, 0.0, 0.9, 0.9, 0.95, 0.9, 0.91, 54, pd.DataFrame())


def test_the_sentence_says_what_may_be_read() -> None:
    assert advice.sentence(GOOD) == (
        "d_anchor orders the epochs as CLIP space does (tau 0.91): read it; a single neuron's distance to its "
        "nearest anchor follows CLIP space (rho 0.90): read it; the anchor nearest to a neuron is its "
        "nearest in CLIP space for 95%: read its name; movement follows CLIP space (rho 0.90): read it; "
        "neighbours are neighbours (trustworthiness 0.90): read groups."
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"d_anchor": 0.79}, "d_anchor does not order the epochs as CLIP space does (tau 0.79): read d_anchor_clip"),
        ({"groups": 5}, "cannot be told from so few"),
        ({"d_anchor": math.nan}, "cannot be told from so few"),
        ({"nearest_distance": 0.41}, "does not follow CLIP space (rho 0.41): do not read it"),
        ({"same_anchor": 0.32}, "for 32%: look up its name"),
        ({"anchor_distance": 0.04}, "distances to other anchors are not kept (rho 0.04): do not read them"),
        ({"still_step": 0.3}, "neurons that stand still seem to move (0.30 of a step): do not read movement"),
        ({"displacement": 0.5}, "movement does not follow CLIP space (rho 0.50): do not read its length"),
        ({"trustworthiness": 0.6}, "neighbours are often not neighbours (trustworthiness 0.60): do not read groups"),
    ],
)  # fmt: skip
def test_the_sentence_warns_of_each_thing_alone(change: dict[str, float], said: str) -> None:
    found = advice.sentence(replace(GOOD, **change))
    assert said in found
    assert said not in advice.sentence(GOOD)
