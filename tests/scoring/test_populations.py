"""How many layers and epochs go through the concepts together, and in which order the images are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cmon.scoring import populations
from cmon.scoring.labelling import LayerUnits
from cmon.scoring.populations import Population, ProbeImages, passes


def population(epoch: float, numbers: int | None) -> Population:
    """One whose live units take 8 bytes for each of the numbers; None: without live units."""
    kept = None if numbers is None else LayerUnits((torch.zeros(numbers, dtype=torch.float64),), None)
    empty = np.empty(0)
    return Population("a", "fc", epoch, empty, empty, kept, empty, empty, empty)


@pytest.mark.parametrize(
    ("sizes", "together"),
    [
        ([], []),
        ([5, 5, 5], [[0, 1], [2]]),
        ([5, None, 5, None], [[0, 1, 2, 3]]),
        ([99, 1, 99], [[0], [1], [2]]),
        ([None], [[0]]),
    ],
)
def test_a_pass_holds_what_there_is_room_for(
    sizes: list[int | None], together: list[list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(populations, "_PASS_BYTES", 80)
    found = list(passes((f"item {epoch}", population(epoch, size)) for epoch, size in enumerate(sizes)))
    assert [[one.epoch for _, one in some] for some in found] == together
    assert all(item == f"item {one.epoch}" for some in found for item, one in some)


def test_pseudo_units_count_as_kept() -> None:
    assert LayerUnits((torch.zeros(3), torch.zeros(3, 2)), (torch.zeros(5),)).nbytes == 4 * (3 + 6 + 5)


def test_a_labelled_population_keeps_nothing_that_scoring_needed() -> None:
    assert population(0, 3).labelled(None).kept is None


def test_the_images_have_one_order_from_the_seed() -> None:
    vectors = torch.arange(50.0)[:, None]
    ids = np.arange(50)
    found = ProbeImages.shuffle(vectors, ids, seed=3, device="cpu")
    assert torch.equal(found.vectors[:, 0].long(), found.order)
    assert found.order.sort().values.tolist() == list(range(50))
    assert torch.equal(found.order, ProbeImages.shuffle(vectors, ids, seed=3, device="cpu").order)
    assert not torch.equal(found.order, ProbeImages.shuffle(vectors, ids, seed=4, device="cpu").order)
