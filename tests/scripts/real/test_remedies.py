"""The remedies against their definitions, and the numbers that are told of them on planted layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from cmon.scoring import redundancy
from scripts.real.baselines import passing, statistics
from scripts.real.material import Material, recipe, spread
from scripts.real.remedies import (
    NULL,
    REMEDIES,
    Remedy,
    Space,
    local_scaling,
    measure,
    without_components,
    without_mean,
)


def crowded(images: int = 400, units: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(N,K) activations that are one common signal and, weaker, one of each unit's own; and (N,K) these own ones."""
    random = np.random.default_rng(seed)
    common, own = random.normal(size=(images, 1)), random.normal(size=(images, units))
    return (5 * common + own).astype(np.float32), own


@pytest.mark.parametrize("remove", [without_mean, without_components(1)])
def test_without_the_common_part_each_unit_is_what_sets_it_apart(remove: object) -> None:
    activations, own = crowded()
    found = remove(activations)  # type: ignore[operator]
    left = [np.corrcoef(found[:, unit], own[:, unit])[0, 1] for unit in range(30)]
    assert min(left) > 0.9
    before = [np.corrcoef(activations[:, unit], own[:, unit])[0, 1] for unit in range(30)]
    assert max(before) < 0.4


def test_what_is_removed_is_the_mean_and_the_first_components() -> None:
    activations, _ = crowded()
    units = (activations - activations.mean(axis=0)) / activations.std(axis=0)
    np.testing.assert_allclose(without_mean(activations).mean(axis=1), 0, atol=1e-9)
    left, sizes, right = np.linalg.svd(units.astype(np.float64), full_matrices=False)
    sizes[:3] = 0
    np.testing.assert_allclose(without_components(3)(activations), left * sizes @ right, atol=1e-3)


def test_centred_features_have_no_mean_before_they_are_made_unit_long() -> None:
    images, texts = torch.randn(50, 8) + 3, torch.randn(20, 8) + 2
    space = Space.centred(images, texts)
    torch.testing.assert_close(space.images, normalize(images - images.mean(0), dim=1))
    torch.testing.assert_close(space.texts.norm(dim=1), torch.ones(20))


def test_local_scaling_takes_from_a_concept_what_its_nearest_units_get() -> None:
    null, evidence = torch.randn(500, 6), torch.randn(40, 6)
    evidence[:, 2] += 30  # what all units of the layer have
    assert (NULL(null, evidence).argmax(dim=1) == 2).all()
    z = (evidence - null.mean(0)) / null.std(0, correction=0)
    found = local_scaling(null, evidence)
    expected = torch.stack(
        [2 * z[:, c] - z[:, c].sort(descending=True).values[:10].mean() for c in range(6)], dim=1
    )
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_the_names_of_runs_and_their_spread() -> None:
    assert [recipe(name) for name in ("poor", "poor-1", "poor-12", "a-b")] == ["poor", "poor", "poor", "a-b"]
    assert spread([0.5, 0.25, 0.75]) == "0.50 (0.25 to 0.75)"
    assert spread([0.123], 1) == "0.1"
    assert spread([float("nan")]) == ""


def test_a_planted_layer_is_measured_as_it_was_made() -> None:
    """Units of the concepts 0 to 9, shown by tenths of the images; half of them lie under a common signal."""
    random = np.random.default_rng(0)
    texts = normalize(torch.from_numpy(random.normal(size=(10, 32))).float(), dim=1)
    shows = random.integers(10, size=600)
    present = shows[:, None] == np.arange(10)
    noise = torch.from_numpy(random.normal(size=(600, 32))).float()
    images = normalize(texts[shows] + 0.1 * noise, dim=1)
    names = [f"word {number}" for number in range(10)]
    material = Material(
        None,  # type: ignore[arg-type]
        np.arange(600),
        images,
        texts,
        names,
        np.array(["object"] * 10),
        present,
        names,
        texts.numpy(),
    )
    spaces = {False: Space(images, texts), True: Space.centred(images, texts)}
    activations = (present + 0.1 * random.normal(size=present.shape)).astype(np.float32)
    plain = REMEDIES[0]
    found = measure(material, spaces, plain, activations, np.arange(10), head=True)
    assert (found.right, found.top1, found.top5, found.labels) == (1, 1, 1, 10)
    assert found.cosine == pytest.approx(1, abs=1e-5)
    assert found.commonest == pytest.approx(0.1)
    top = np.argsort(-activations, axis=0)[: redundancy.compared_images(600)].T
    assert found.overlap == pytest.approx(redundancy.shared(top).mean())
    under = activations + 3 * present[:, :1]  # all answer to concept 0 first
    crowd = measure(material, spaces, plain, under, np.arange(10), head=True)
    assert crowd.commonest == 1
    apart = measure(material, spaces, Remedy("apart", without_mean), under, np.arange(10), head=True)
    assert apart.top1 >= 0.9
    assert apart.right_apart >= 0.9


def test_of_two_comparisons_only_the_first_epochs_asks_for_more_than_an_untrained_layer_has() -> None:
    random = np.random.default_rng(0)
    first = torch.from_numpy(random.normal(0, 1, size=(100, 20))).float()
    first[:, :3] += 10  # what untrained units answer to
    again = torch.from_numpy(random.normal(0, 1, size=(100, 20))).float()
    again[:, :3] += 10
    learned = again.clone()
    learned[:50, 7] += 20
    null = {**statistics(first, first), "chance": random.normal(0, 1, size=4096) + 3}
    for name, expected in (
        ("chance", (1, 1, 1)),
        ("first, label", (0, 0, 0.5)),
        ("first, best", (0, 0, 0.5)),
    ):
        shares = [passing(statistics(some, first)[name], null[name]) for some in (first, again, learned)]
        assert shares == pytest.approx(expected, abs=0.05), name


def test_recipes_and_classes_of_a_material() -> None:
    material = Material(
        None,  # type: ignore[arg-type]
        np.arange(2),
        torch.eye(2),
        torch.eye(2),
        ["Dog", "red"],
        np.array(["object", "color"]),
        None,
        ["dog ", "lorry"],
        np.eye(2),
    )
    assert material.class_concepts.tolist() == [0, -1]
