"""Lottery tickets: which weights are kept, how many, and what they start from."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from scripts.cases.lottery import KEPT, ROUNDS, pruned, shuffled
from scripts.cases.networks import narrow_resnet18
from scripts.cases.setup import Setup
from scripts.cases.trainer import MASK, load_weights


def prunable(weights: dict[str, Tensor]) -> list[str]:
    """Convolutions and linear layers, without batch norm and offsets."""
    return [name for name, tensor in weights.items() if name.endswith(".weight") and tensor.ndim > 1]


def masks(setup: Setup, recipe: str) -> dict[str, Tensor]:
    return torch.load(setup.folder(recipe, 1) / MASK, weights_only=True)


def test_the_largest_weights_of_all_layers_together_are_kept() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = pruned(network, {}, 0.25)
    assert list(found) == ["0.weight", "3.weight"]
    magnitudes = torch.cat([before[name].abs().flatten() for name in found])
    smallest = magnitudes.sort(descending=True).values[round(0.25 * len(magnitudes)) - 1]
    for name, kept in found.items():
        assert torch.equal(kept, before[name].abs() >= smallest)
    assert list(network.state_dict()) == list(before)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_what_a_round_removed_stays_removed_however_large_it_grows() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(10, 10))
    first = pruned(network, {}, 0.5)
    with torch.no_grad():
        network[0].weight[~first["0.weight"]] = 9.0
    second = pruned(network, first, 0.2)
    assert int(second["0.weight"].sum()) == 20
    assert not (second["0.weight"] & ~first["0.weight"]).any()


def test_the_ticket_keeps_the_stated_share_and_the_random_mask_as_many_in_every_layer(trained: Setup) -> None:
    ticket, random = masks(trained, "winning"), masks(trained, "random-mask")
    assert list(ticket) == list(random) == prunable(load_weights(trained.folder("standard", 1), 0))
    total = sum(kept.numel() for kept in ticket.values())
    assert sum(int(kept.sum()) for kept in ticket.values()) == round(KEPT * total)
    assert {name: int(kept.sum()) for name, kept in ticket.items()} == {
        name: int(kept.sum()) for name, kept in random.items()
    }
    both = sum(int((ticket[name] & random[name]).sum()) for name in ticket)
    assert both < 0.5 * KEPT * total


def test_each_round_keeps_the_same_share_of_what_there_is(trained: Setup) -> None:
    folder = trained.out / "lottery" / "rounds"
    rounds = [torch.load(folder / f"round-{number}@1" / MASK, weights_only=True) for number in (1, 2)]
    rounds.append(masks(trained, "winning"))
    assert len(rounds) == ROUNDS
    total = sum(kept.numel() for kept in rounds[0].values())
    left = [sum(int(kept.sum()) for kept in found.values()) / total for found in rounds]
    assert left == pytest.approx([KEPT ** (1 / 3), KEPT ** (2 / 3), KEPT], abs=1e-3)
    for before, after in pairwise(rounds):
        assert not any((after[name] & ~before[name]).any() for name in after)


@pytest.mark.parametrize("recipe", ["winning", "random-mask"])
def test_it_is_rewound_to_the_initial_weights_and_trained_under_its_mask(trained: Setup, recipe: str) -> None:
    initial = load_weights(trained.folder("standard", 1), 0)
    start, end = (load_weights(trained.folder(recipe, 1), epoch) for epoch in (0, 2))
    kept = masks(trained, recipe)
    assert list(start) == list(end) == list(initial)
    for name, weights in initial.items():
        if name in kept:
            assert torch.equal(start[name][kept[name]], weights[kept[name]])
            assert not start[name][~kept[name]].any()
            assert not end[name][~kept[name]].any()
            assert not torch.equal(end[name], start[name])
        else:
            assert torch.equal(start[name], weights)
    narrow_resnet18(4, width=4, side=16).load_state_dict(end)


def test_the_ticket_is_chosen_by_trained_weights_not_by_initial_ones(trained: Setup) -> None:
    network = trained.untrained(4, seed=1)
    by_initial = pruned(network, {}, KEPT)
    ticket = masks(trained, "winning")
    assert any(not torch.equal(by_initial[name], ticket[name]) for name in ticket)


def test_random_masks_depend_on_the_seed() -> None:
    mask = {"a": torch.arange(100) < 30}
    one, again, two = (shuffled(mask, seed)["a"] for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, two)
    assert int(one.sum()) == int(two.sum()) == 30
