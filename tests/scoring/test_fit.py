"""Against the definition unit by unit; planted detectors; chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from cmon.scoring.fit import fits, fitting_images
from tests.support.unit_vectors import draw


def literal(images: Tensor, texts: Tensor, labels: Tensor, top: np.ndarray) -> list[float]:
    """From the definition, one unit at a time."""
    found = []
    for label, shown in zip(labels.tolist(), top.tolist(), strict=True):
        similar = (images @ texts[label]).tolist()
        ranked = sorted(range(len(similar)), key=lambda image: (-similar[image], image))
        fitting = set(ranked[: len(similar) // 10])
        found.append(sum(image in fitting for image in shown) / len(shown))
    return found


@pytest.fixture
def material() -> tuple[Tensor, Tensor, Tensor, np.ndarray]:
    """200 images, 90 concepts (more than are ranked at a time), 150 units with 12 top images each."""
    random = np.random.default_rng(0)
    images, texts = draw(200, 90, width=8)
    images[50:60] = images[0]  # copies of one picture
    top = np.stack([random.permutation(200)[:12] for _ in range(150)])
    return images, texts, torch.from_numpy(random.integers(0, 90, 150)), top


def test_each_unit_has_the_share_of_its_top_images_that_clip_ranks_in_the_first_tenth(
    material: tuple[Tensor, Tensor, Tensor, np.ndarray],
) -> None:
    found = fits(*material)
    assert found.tolist() == pytest.approx(literal(*material))
    assert 0 < found.mean() < 1


def test_a_unit_that_orders_images_as_clip_does_fits_wholly_and_one_in_reverse_not_at_all(
    material: tuple[Tensor, Tensor, Tensor, np.ndarray],
) -> None:
    images, texts, labels, _ = material
    order = (texts[labels] @ images.T).argsort(dim=1, descending=True, stable=True)
    assert (fits(images, texts, labels, order[:, :20].numpy()) == 1).all()
    assert (fits(images, texts, labels, order[:, :40].numpy()) == 0.5).all(), "a tenth of 200 are 20"
    assert (fits(images, texts, labels, order.flip(1)[:, :20].numpy()) == 0).all()


def test_images_in_random_order_fit_by_a_tenth(material: tuple[Tensor, Tensor, Tensor, np.ndarray]) -> None:
    assert fits(*material).mean() == pytest.approx(0.1, abs=0.02)


def test_no_unit_has_no_fit(material: tuple[Tensor, Tensor, Tensor, np.ndarray]) -> None:
    images, texts, labels, top = material
    assert fits(images, texts, labels[:0], top[:0]).shape == (0,)


@pytest.mark.parametrize(("images", "fitting"), [(2000, 200), (2009, 200), (10, 1), (3, 1)])
def test_a_tenth_of_the_images_fit_a_concept_and_at_least_one(images: int, fitting: int) -> None:
    assert fitting_images(images) == fitting
