"""The five functions against slow twins in float64 (`literal`), a plain float32 loop, and the authors' outputs."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from cmon.scoring.similarity import clip_dissect
from cmon.scoring.similarity.clip_dissect import unit_vectors
from cmon.scoring.similarity.registry import SIMILARITIES
from cmon.scoring.similarity.table_rows import gathered_row_sums
from tests.support.literal import TWINS, cosines

NAMES = list(SIMILARITIES)
World = tuple[Tensor, Tensor, Tensor]


def function(name: str) -> Callable[..., Tensor]:
    return getattr(clip_dissect, name)


def random_world(images: int, concepts: int, units: int, width: int = 12, seed: int = 0) -> World:
    """Features of many lengths, in a cone, so that most cosines are positive; activations of both signs."""
    generator = torch.Generator().manual_seed(seed)
    centre = 2 * torch.randn(width, generator=generator)
    return (
        (torch.randn(images, width, generator=generator) + centre) * 3,
        (torch.randn(concepts, width, generator=generator) + centre) * 5,
        torch.randn(images, units, generator=generator) - 1,
    )


def twin(name: str, world: World, precision: type[np.floating]) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # float32's own troubles
        return TWINS[name](*(tensor.numpy() for tensor in world), precision)


def clearly_ordered(world: World) -> bool:
    """No two images' cosines with a concept are so near that rounding orders them."""
    s = np.sort(cosines(*(tensor.numpy() for tensor in world[:2])), axis=0)
    return len(s) < 2 or np.diff(s, axis=0).min() > 1e-6


# -- twins ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("images", "concepts", "units"), [(150, 20, 7), (60, 9, 4), (40, 5, 1), (30, 1, 3), (2, 4, 2), (1, 3, 2)]
)
def test_the_function_is_the_papers_formula(name: str, images: int, concepts: int, units: int) -> None:
    world = random_world(images, concepts, units)
    found = function(name)(*world)
    assert found.shape == (units, concepts)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, twin(name, world, np.float64), rtol=2e-5, atol=2e-4)


KINDS = ["plain", "few values", "negative", "sparse", "huge", "tiny"]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Small worlds of every awkward kind, without ties at which the choice of top images is free."""
    seed = draw(st.integers(0, 10_000))
    images, concepts, units = draw(st.integers(1, 40)), draw(st.integers(1, 5)), draw(st.integers(1, 3))
    image_features, text_features, activations = random_world(images, concepts, units, 6, seed)
    kind = draw(st.sampled_from(KINDS))
    order = torch.argsort(activations, dim=0).float()
    activations = {
        "plain": activations,
        "few values": order // 4,
        "negative": -activations.abs() - 1,
        "sparse": activations.relu(),
        "huge": activations * 1e30,
        "tiny": activations * 1e-30,
    }[kind]
    return image_features * draw(st.sampled_from([1, 1e-20, 1e15])), text_features, activations


def choice_is_free(world: World, top: int) -> bool:
    """Whether some unit's top images depend on which of equal activations are taken, or their order does."""
    ordered = world[2].sort(dim=0, descending=True).values[: top + 1]
    return bool((ordered.diff(dim=0) == 0).any())


@given(worlds(), st.sampled_from(NAMES))
def test_no_plain_float32_loop_is_nearer_to_float64(world: World, name: str) -> None:
    """Nearer by more than twice, that is, and a few steps of float32 at the size of the sums on the way."""
    top = SIMILARITIES[name]().top_images(len(world[0]))
    assume(top is None or not choice_is_free(world, top))
    assume(name != "rank_reorder" or clearly_ordered(world))
    truth, plain = twin(name, world, np.float64), twin(name, world, np.float32)
    found = function(name)(*world).numpy()
    assert np.isfinite(found).all()
    of_plain = np.nan_to_num(np.abs(plain - truth), nan=np.inf).max()
    size = {"soft_wpmi": 600, "wpmi": 450, "rank_reorder": np.abs(truth).max()}.get(name, 1)
    assert np.abs(found - truth).max() <= 2 * of_plain + 4 * 6e-8 * size


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["dead", "constant", "two values", "one lively unit"])
@pytest.mark.parametrize("images", [1, 2, 19, 200])
def test_scores_are_finite_whatever_the_activations(name: str, kind: str, images: int) -> None:
    image_features, text_features, activations = random_world(images, 6, 4)
    activations = {
        "dead": torch.zeros(images, 4),
        "constant": torch.full((images, 4), -3.7),
        "two values": (activations > 0).float(),
        "one lively unit": torch.cat([torch.zeros(images, 3), activations[:, :1]], dim=1),
    }[kind]
    found = function(name)(image_features, text_features, activations)
    assert found.isfinite().all()
    if kind == "dead" and "wpmi" not in name:
        assert (found == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_features_of_length_0_and_of_extreme_lengths_are_taken(name: str) -> None:
    image_features, text_features, activations = random_world(50, 6, 4)
    found = function(name)(image_features, text_features, activations)
    for scale in (1e-30, 1e30):
        same = function(name)(image_features * scale, text_features * scale, activations)
        torch.testing.assert_close(same, found, rtol=1e-4, atol=1e-4)
    image_features[3], text_features[2] = 0, 0
    assert function(name)(image_features, text_features, activations).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_any_floating_type_is_taken(name: str, dtype: torch.dtype) -> None:
    world = [tensor.to(dtype) for tensor in random_world(60, 5, 3)]
    found = function(name)(*world)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, function(name)(*(tensor.float() for tensor in world)))
    beyond_float32 = function(name)(*world[:2], world[2].double() * 1e200)
    if name != "cos_similarity_cubed" or dtype != torch.float64:
        torch.testing.assert_close(beyond_float32, found, rtol=1e-3, atol=1e-3)
    assert beyond_float32.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_concepts_in_many_blocks_score_as_in_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = random_world(90, 23, 6)
    found = function(name)(*world)
    monkeypatch.setattr("cmon.scoring.similarity.room.LARGEST", 5)
    torch.testing.assert_close(function(name)(*world), found, rtol=1e-5, atol=2e-4)


@pytest.mark.parametrize("name", NAMES)
def test_without_the_cpus_shortcuts_scores_are_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What other devices run: no oneDNN, gathered sums, torch's sort."""
    world = random_world(90, 23, 6)
    found = function(name)(*world)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setattr("cmon.scoring.similarity.wpmi.row_sums", gathered_row_sums)
    monkeypatch.setattr(
        "cmon.scoring.similarity.rank_reorder.rising_order",
        lambda values: values.argsort(dim=-1, stable=True),
    )
    monkeypatch.setattr("cmon.scoring.similarity.cosine.widest_float", lambda _: torch.float32)
    torch.testing.assert_close(function(name)(*world), found, rtol=2e-4, atol=2e-4)


# -- the authors' outputs ------------------------------------------------------------------------------


def golden(shared: Callable[[str], Path], name: str) -> tuple[World, dict[str, np.ndarray]]:
    stored = dict(np.load(shared("golden") / name))
    names = ("image_features", "text_features", "activations")
    images, texts, activations = (torch.from_numpy(stored.pop(input_name)) for input_name in names)
    return (images, texts, activations), stored


@pytest.mark.parametrize("file", ["similarity_a.npz", "similarity_b.npz"])
@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("soft_wpmi", 1e-3), ("wpmi", 1e-3), ("cos_similarity", 1e-4), ("cos_similarity_cubed", 1e-4)],
)
def test_the_function_agrees_with_the_authors(
    shared: Callable[[str], Path], file: str, name: str, tolerance: float
) -> None:
    world, stored = golden(shared, file)
    found = function(name)(*world, **({"top_k": 50} if name == "soft_wpmi" else {})).numpy()
    wanted = stored[name]
    defined = np.isfinite(wanted)
    np.testing.assert_allclose(found[defined], wanted[defined], rtol=0, atol=tolerance)
    assert np.isfinite(found).all(), "defined where theirs is not"
    assert defined.any(axis=1).sum() >= len(wanted) - 1


@pytest.mark.parametrize("file", ["similarity_a.npz", "similarity_b.npz"])
def test_rank_reorder_agrees_with_the_authors_up_to_each_units_scale(
    shared: Callable[[str], Path], file: str
) -> None:
    """Their random baseline is one factor per unit. A pair of cosines that float32 can hardly tell apart may be
    ordered otherwise: by us more rarely than by them, against float64."""
    world, stored = golden(shared, file)
    found, wanted = function("rank_reorder")(*world).numpy(), stored["rank_reorder"]
    truth = twin("rank_reorder", world, np.float64)
    misordered = {"ours": 0, "theirs": 0}
    for k in np.flatnonzero(np.isfinite(wanted).all(axis=1)):
        ratio = found[k] / wanted[k]
        assert 0.5 < np.median(ratio) < 2
        off = np.abs(ratio / np.median(ratio) - 1)
        assert (off > 1e-5).sum() <= 2
        assert off.max() < 0.01
        assert found[k].argmax() == wanted[k].argmax()
        theirs = truth[k] / wanted[k]
        misordered["theirs"] += (np.abs(theirs / np.median(theirs) - 1) > 1e-5).sum()
        misordered["ours"] += (np.abs(found[k] / truth[k] - 1) > 1e-5).sum()
    assert misordered["ours"] <= misordered["theirs"]
    assert np.isfinite(found).all(), "defined where theirs is not"
    assert (found[~np.isfinite(wanted).all(axis=1)] == 0).all()


# -- what the functions do and do not see --------------------------------------------------------------


@pytest.mark.parametrize("name", ["soft_wpmi", "wpmi"])
def test_only_the_order_of_a_units_activations_matters(name: str) -> None:
    images, texts, activations = random_world(80, 10, 5)
    before = function(name)(images, texts, activations, top_k=20)
    torch.testing.assert_close(function(name)(images, texts, activations.exp() - 7, top_k=20), before)
    torch.testing.assert_close(
        function(name)(images * 9, texts * 0.1, activations, top_k=20), before, atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("name", ["rank_reorder", "cos_similarity"])
def test_the_scale_of_a_units_activations_does_not_matter(name: str) -> None:
    images, texts, activations = random_world(200, 10, 5)
    torch.testing.assert_close(
        function(name)(images, texts, activations * 1e-3), function(name)(images, texts, activations)
    )


def test_a_perfect_order_has_no_error_and_the_reverse_the_most() -> None:
    images, texts, _ = random_world(200, 3, 1)
    s = torch.from_numpy(cosines(images.numpy(), texts.numpy()))
    found = function("rank_reorder")(images, texts, torch.cat([s, -s], dim=1), top_fraction=1.0)
    assert found.diagonal().abs().max() < 1e-5
    assert (found[3:].diagonal() < found[:3].min(dim=1).values).all()


def test_the_function_takes_the_defaults_that_the_stage_takes() -> None:
    for name, of_the_stage in SIMILARITIES.items():
        stage = vars(of_the_stage())
        for parameter in inspect.signature(function(name)).parameters.values():
            if parameter.default is not inspect.Parameter.empty:
                assert parameter.default == stage[parameter.name], f"{name}: {parameter.name}"


def test_unit_vectors_have_length_1_or_0() -> None:
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1e-40, 0.0], [2e38, -2e38]])
    wanted = [[0.6, 0.8], [0, 0], [1, 0], [math.sqrt(0.5), -math.sqrt(0.5)]]
    torch.testing.assert_close(unit_vectors(rows), torch.tensor(wanted))
