"""Projected gradient descent: where it may go, what it achieves, and a model whose answer is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from scripts.cases.attack import Adversary
from scripts.cases.setup import Setup
from scripts.cases.trainer import Forward, load_weights


@pytest.fixture(scope="module")
def logits(standard: Setup) -> Forward:
    """The standard network after its last epoch."""
    network = standard.untrained(4, seed=0)
    network.load_state_dict(load_weights(standard.folder("standard", 1), 2))
    return Forward(network.eval(), bf16=False)


@pytest.fixture(scope="module")
def shown(standard: Setup) -> tuple[Tensor, Tensor]:
    test = standard.task.test
    return test.pixels.float() / 255, test.classes


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("steps", [1, 3, 20])
def test_it_stays_in_the_ball_and_among_pictures(
    logits: Forward, shown: tuple[Tensor, Tensor], steps: int
) -> None:
    pictures, classes = shown
    pictures = pictures.clone()
    pictures[:4] = 0.0  # at the border of what a picture can be
    pictures[4:8] = 1.0
    changed = Adversary(0.05, steps).attacked(logits, pictures, classes, seeded())
    assert float((changed - pictures).abs().max()) == pytest.approx(0.05, abs=1e-6)
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1


def test_it_raises_the_loss_and_lowers_the_accuracy_more_with_more_steps(
    logits: Forward, shown: tuple[Tensor, Tensor]
) -> None:
    pictures, classes = shown

    def loss(values: Tensor) -> float:
        with torch.no_grad():
            return float(nn.functional.cross_entropy(logits(values), classes))

    def accuracy(values: Tensor) -> float:
        with torch.no_grad():
            return float((logits(values).argmax(1) == classes).float().mean())

    by_chance = pictures + (torch.rand(pictures.shape, generator=seeded()) * 2 - 1) * 0.1
    one, many = (Adversary(0.1, steps).attacked(logits, pictures, classes, seeded()) for steps in (1, 20))
    assert loss(pictures) < loss(one) < loss(many)
    assert loss(by_chance.clamp(0, 1)) < loss(one)
    assert accuracy(many) < accuracy(pictures) - 0.2


def test_it_learns_nothing_and_leaves_no_gradients(logits: Forward, shown: tuple[Tensor, Tensor]) -> None:
    before = {name: tensor.clone() for name, tensor in logits.network.state_dict().items()}
    Adversary(0.1, 3).attacked(logits, *shown, seeded())
    assert all(torch.equal(before[name], tensor) for name, tensor in logits.network.state_dict().items())
    assert all(parameter.grad is None for parameter in logits.network.parameters())


def test_a_linear_model_withstands_just_where_the_margin_is_wider_than_the_ball() -> None:
    """The best adversary moves every value by the radius against its weight: the margin falls by radius * |w|_1."""
    random = torch.Generator().manual_seed(1)
    weight = torch.randn(3 * 4 * 4, generator=random)
    pictures = 0.5 + (torch.rand(200, 3, 4, 4, generator=random) - 0.5) * 0.4  # far from 0 and 1
    offset = -float((pictures.flatten(1) @ weight).mean())

    def linear(values: Tensor) -> Tensor:
        margin = values.flatten(1) @ weight + offset
        return torch.stack([torch.zeros_like(margin), margin], dim=1)

    classes = torch.randint(0, 2, (200,), generator=random)
    radius = 0.02
    margin = (linear(pictures)[:, 1]) * (2 * classes - 1)
    expected = margin > radius * float(weight.abs().sum())
    assert 20 < int(expected.sum()) < int((margin > 0).sum()) - 20
    assert torch.equal(Adversary(radius, 20).withstood(linear, pictures, classes, seeded()), expected)


def test_what_is_withstood_lies_between_all_that_is_right_and_nothing(
    logits: Forward, shown: tuple[Tensor, Tensor]
) -> None:
    pictures, classes = shown
    with torch.no_grad():
        right = logits(pictures).argmax(1) == classes
    assert torch.equal(Adversary(1e-9, 3).withstood(logits, pictures, classes, seeded()), right)
    some = Adversary(0.03, 20).withstood(logits, pictures, classes, seeded())
    assert bool((right | ~some).all())
    assert not Adversary(1.0, 20).withstood(logits, pictures, classes, seeded()).any()
