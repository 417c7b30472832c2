"""Against the definition, pair by pair, against scikit-learn, and on pictures that are perfect, torn or random."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cmon.embedding.trustworthiness import neighbours_kept


def literal_trustworthiness(vectors: np.ndarray, places: np.ndarray, k: int) -> float:
    """Venna & Kaski 2001, equation 1, for points without ties."""
    n, total = len(vectors), 0
    for i in range(n):
        others = [j for j in range(n) if j != i]
        by_vector = sorted(others, key=lambda j: math.dist(vectors[i], vectors[j]))
        by_place = sorted(others, key=lambda j: math.dist(places[i], places[j]))
        intruders = set(by_place[:k]) - set(by_vector[:k])
        total += sum(by_vector.index(j) + 1 - k for j in intruders)
    return 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * total


def cloud(n: int, seed: int = 0, width: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Vectors, and a picture of them that keeps something."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(n, width))
    return vectors, vectors[:, :2] + random.normal(scale=0.3, size=(n, 2))


@pytest.mark.parametrize(("n", "k"), [(40, 10), (40, 1), (25, 12), (3, 1), (7, 3)])
def test_neighbours_kept_is_the_definition(n: int, k: int) -> None:
    vectors, places = cloud(n, seed=n)
    trust, continuity = neighbours_kept(vectors, places, k)
    assert trust == pytest.approx(literal_trustworthiness(vectors, places, k))
    assert continuity == pytest.approx(literal_trustworthiness(places, vectors, k))


def test_it_agrees_with_scikit_learn() -> None:
    manifold = pytest.importorskip("sklearn.manifold")
    vectors, places = cloud(300)
    trust, continuity = neighbours_kept(vectors, places)
    assert trust == pytest.approx(manifold.trustworthiness(vectors, places, n_neighbors=10))
    assert continuity == pytest.approx(manifold.trustworthiness(places, vectors, n_neighbors=10))


def test_a_turned_picture_keeps_all_and_a_random_one_half() -> None:
    random = np.random.default_rng(0)
    places = random.normal(size=(400, 2))
    turned, _ = np.linalg.qr(random.normal(size=(16, 16)))
    vectors = places @ turned[:2]
    assert neighbours_kept(vectors, 7 * places + 3) == pytest.approx((1, 1))
    for kept in neighbours_kept(vectors, random.normal(size=(400, 2))):
        assert kept == pytest.approx(0.5, abs=0.03)


def test_a_picture_torn_apart_is_trustworthy_but_not_continuous() -> None:
    """A line cut in two and moved far apart: who is shown as near is near, but not the other way round at the cut."""
    line = np.stack([np.arange(60.0), np.zeros(60)], axis=1) + np.random.default_rng(0).normal(
        scale=0.01, size=(60, 2)
    )
    torn = np.where(np.arange(60)[:, None] < 30, line, line + np.array([0, 500]))
    trust, continuity = neighbours_kept(line, torn, 5)
    assert trust > continuity
    folded = np.stack([np.abs(line[:, 0] - 30.2), line[:, 1]], axis=1)
    trust, continuity = neighbours_kept(line, folded, 5)
    assert continuity > trust


def literal_with_ties(vectors: np.ndarray, places: np.ndarray, k: int) -> float:
    """Mean ranks among ties; those who share the k-th place share what is left of k."""
    n, total = len(vectors), 0.0
    for i in range(n):
        others = [j for j in range(n) if j != i]
        true = {j: ((vectors[i] - vectors[j]) ** 2).sum() for j in others}
        near = {j: ((places[i] - places[j]) ** 2).sum() for j in others}
        border = sorted(near.values())[k - 1]
        inside = [j for j in others if near[j] < border]
        tied = [j for j in others if near[j] == border]
        weight = {**dict.fromkeys(inside, 1.0), **dict.fromkeys(tied, (k - len(inside)) / len(tied))}
        for j in weight:
            nearer = sum(true[l] < true[j] for l in others)  # noqa: E741
            alike = sum(true[l] == true[j] for l in others)  # noqa: E741
            total += weight[j] * max(0, nearer + (1 + alike) / 2 - k)
    return 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * total


@pytest.mark.parametrize("k", [1, 4, 10])
def test_ties_are_shared(k: int) -> None:
    random = np.random.default_rng(k)
    vectors = random.integers(-1, 2, size=(30, 5)).astype(float)  # small whole numbers: ties are exact
    places = random.integers(-2, 3, size=(30, 2)).astype(float)
    trust, continuity = neighbours_kept(vectors, places, k)
    assert trust == pytest.approx(literal_with_ties(vectors, places, k))
    assert continuity == pytest.approx(literal_with_ties(places, vectors, k))


def test_a_picture_collapsed_to_a_point_is_worth_no_more_than_chance() -> None:
    vectors, _ = cloud(500)
    for kept in neighbours_kept(vectors, np.zeros((500, 2))):
        assert kept == pytest.approx(0.5, abs=0.02)


def test_a_sample_of_queries_estimates_the_whole_and_blocks_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors, places = cloud(900)
    whole = neighbours_kept(vectors, places)
    queries = np.random.default_rng(0).choice(900, 300, replace=False)
    assert neighbours_kept(vectors, places, queries=queries) == pytest.approx(whole, abs=0.02)
    halves = [
        neighbours_kept(vectors, places, queries=half) for half in (np.arange(450), np.arange(450, 900))
    ]
    assert np.mean(halves, axis=0) == pytest.approx(whole)
    monkeypatch.setattr("cmon.embedding.trustworthiness.BLOCK", 5_000)
    assert neighbours_kept(vectors, places) == pytest.approx(whole)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_points_have_no_neighbourhoods(n: int) -> None:
    assert np.isnan(neighbours_kept(np.zeros((n, 4)), np.zeros((n, 2)))).all()


def test_k_is_cut_where_the_formula_ends() -> None:
    vectors, places = cloud(8)
    assert neighbours_kept(vectors, places, 10) == neighbours_kept(vectors, places, 3)
