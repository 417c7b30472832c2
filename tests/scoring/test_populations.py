"""How many layers and epochs go through the concepts together, and in which order the images are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cmon.scoring import populations, redundancy
from cmon.scoring.block_scores import LayerUnits
from cmon.scoring.populations import Population, ProbeImages, passes
from cmon.scoring.similarity import probabilities
from cmon.scoring.similarity.room import make_room


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


@pytest.mark.parametrize("cores", [1, 8, 64])
def test_50_epochs_of_4000_units_and_3_runs_need_at_most_4_gb_on_any_number_of_cores(cores: int) -> None:
    """600,000 units. What a pass plans to hold: of its units, of what is under way, and of the softmax."""
    images, units, epochs, runs = 10_000, 4000, 50, 3
    top = redundancy.compared_images(images)
    kept = LayerUnits((torch.zeros(1, 1, dtype=torch.int32).expand(units, 100),), None)
    shown = np.broadcast_to(np.int32(0), (units, top))
    activations = np.broadcast_to(np.float32(0), (units, populations.SHOWN_IMAGES))
    empty = np.arange(units)
    one = Population("a", "fc", 0, empty, empty, kept, shown, activations, shown)
    before = torch.get_num_threads()
    torch.set_num_threads(cores)
    try:
        found = list(passes((epoch, one) for epoch in range(epochs * runs)))
        held = max(sum(population.nbytes for _, population in some) for some in found)
        room = make_room(images, 4096, torch.device("cpu"))
    finally:
        torch.set_num_threads(before)
    assert sum(len(some) for some in found) == epochs * runs
    softmax = 4 * probabilities._KEPT
    libraries_and_features = 0.6e9
    assert held + room.nbytes(images, 4096) + softmax + libraries_and_features <= 4e9
    assert len(found) <= 20  # each of which computes all cosines
