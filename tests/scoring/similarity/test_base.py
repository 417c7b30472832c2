from __future__ import annotations

import torch

from cmon.scoring.similarity.base import concatenate, stable_ranking, unstable_ranking


def test_rankings_take_the_most_activating_images_and_of_equals_the_first() -> None:
    activations = torch.tensor([[0.0, 5.0, 5.0, -1.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0]])
    assert stable_ranking(activations, 2).tolist() == [[1, 2], [4, 3]]
    assert set(unstable_ranking(activations, 2)[0].tolist()) < {1, 2, 4}
    for ranking in (stable_ranking, unstable_ranking):
        assert ranking(activations, 9)[1].tolist() == [4, 3, 2, 1, 0]


def test_concatenated_units_stand_one_part_after_the_other() -> None:
    parts = [(torch.full((k, 2), float(k)), torch.full((k,), float(k))) for k in (1, 3)]
    rows, numbers = concatenate(parts)
    assert rows.tolist() == [[1, 1], [3, 3], [3, 3], [3, 3]]
    assert numbers.tolist() == [1, 3, 3, 3]
