"""From the images that an extraction kept of each unit come the labels that come from all activations, or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import cmon
from cmon.scoring import top_units
from cmon.scoring.top_units import from_activations, from_top_images, shuffled_top
from cmon.top_k import top_k
from cmon.workspace import schemas, top_images
from cmon.workspace.workspace import Workspace
from tests.support.tiny_models import COLORS

Score = Callable[[], None]


@given(
    st.lists(st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0]), min_size=9, max_size=9), min_size=1, max_size=4),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 50),
)
def test_the_order_of_equal_values_is_that_of_their_positions(
    rows: list[list[float]], kept: int, k: int, seed: int
) -> None:
    """Of the kept values come the k largest of all, or None: where a row's k-th may be among those that were not."""
    shuffled = torch.tensor(rows)
    folder_order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    in_folder = torch.empty_like(shuffled)
    in_folder[:, folder_order] = shuffled
    largest = top_k(in_folder, kept)
    position = folder_order.argsort()
    found = shuffled_top(largest.values, position[largest.indices], shuffled.amin(dim=1), 9, k)
    if found is None:
        cut = [sorted(row, reverse=True) for row in rows]
        assert k > kept or any(row[k - 1] == row[kept - 1] > row[-1] for row in cut)
        return
    wanted = top_k(shuffled, k)
    assert found.values.tolist() == wanted.values.tolist()
    assert found.indices.tolist() == wanted.indices.tolist()


def test_what_cannot_be_known_is_not_guessed() -> None:
    values, at = torch.tensor([[5.0, 4.0, 4.0]]), torch.tensor([[3, 0, 9]])
    assert shuffled_top(values, at, torch.tensor([1.0]), 10, 2) is None  # a third 4 may lie at position 1
    assert shuffled_top(values, at, torch.tensor([1.0]), 10, 4) is None
    found = shuffled_top(values, at, torch.tensor([1.0]), 3, 3)
    assert found is not None
    assert found.indices.tolist() == [[3, 0, 9]]
    found = shuffled_top(values, at, torch.tensor([4.0]), 10, 3)  # all others are 4, too
    assert found is not None
    assert found.indices.tolist() == [[3, 0, 1]]


@pytest.fixture
def workspace(
    tmp_path: Path, checkpoints_folder: Path, probe_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    """Of 40 images 12 are kept."""
    monkeypatch.setattr(top_images, "KEPT", 12)
    monkeypatch.setattr(top_images, "WORTHWHILE", 20)
    cmon.extract(
        tmp_path / "work", {"a": checkpoints_folder}, probe_folder, workers=0, device="cpu",
        model="python:tests.support.tiny_models:network", layers=["conv1", "fc"],
    )  # fmt: skip
    return Workspace(tmp_path / "work")


def kept_files(workspace: Workspace) -> list[Path]:
    return sorted(workspace.cache.glob("top-images-*"))


def score(workspace: Workspace, **more: Any) -> dict[str, pa.Table]:
    """Tables, and whether activations were read."""
    given = {"top_k": 4, "pseudo_units": 50} | more
    cmon.score(
        workspace.root, [*COLORS, "mist", "noise"], clip="python:tests.support.tiny_models:embedder", device="cpu",
        workers=0, **given,
    )  # fmt: skip
    return {name: workspace.read(name) for name in ("units", "concepts")}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The layers whose activations were read whole."""
    found: list[str] = []

    def read(workspace: Workspace, shard: dict[str, Any], *more: Any) -> Any:
        found.append(shard["layer"])
        return from_activations(workspace, shard, *more)

    monkeypatch.setattr(top_units, "from_activations", read)
    return found


@pytest.mark.parametrize("more", [{}, {"similarity": "wpmi", "prior": "layer"}, {"baseline": "first"}])
def test_the_tables_are_those_of_all_activations(
    workspace: Workspace, reads: list[str], more: dict[str, Any]
) -> None:
    assert len(kept_files(workspace)) == 4
    found = score(workspace, **more)
    assert reads == []
    for path in kept_files(workspace):
        path.unlink()
    for folder in ("units", "concepts"):
        for path in (workspace.root / folder).rglob("*.parquet"):
            path.unlink()
    wanted = score(workspace, **more)
    assert sorted(set(reads)) == ["conv1", "fc"]
    assert found["units"].equals(wanted["units"])
    assert found["concepts"].equals(wanted["concepts"])


@pytest.mark.parametrize("more", [{"similarity": "cos_similarity", "top_k": None}, {"top_k": 13}])
def test_more_than_was_kept_is_read_from_the_activations(
    workspace: Workspace, reads: list[str], more: dict[str, Any]
) -> None:
    score(workspace, **more)
    assert sorted(set(reads)) == ["conv1", "fc"]


def test_units_that_are_not_finite_and_units_of_few_images(workspace: Workspace) -> None:
    """Written by hand: a unit that is not finite, a dead one, one that two images activate, and one of all values."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 4)).astype(np.float32)
    values[5, 0], values[:, 1], values[:, 2] = np.nan, 0, 0
    values[[7, 30], 2] = [2, 3]
    shard = write_activations(workspace, values)
    keep(workspace, shard, values)
    ids, order = np.arange(40), torch.randperm(40)
    found = from_top_images(workspace, shard, ids, order, 10)
    wanted = from_activations(workspace, shard, ids, order, 10, torch.device("cpu"))
    assert found is not None
    assert found.activations is None
    assert found.finite.tolist() == wanted.finite.tolist() == [False, True, True, True]
    assert found.least.tolist() == wanted.least.tolist()
    assert torch.equal(found.top.values, wanted.top.values)
    assert torch.equal(found.top.indices, wanted.top.indices)


def test_kept_images_of_other_activations_or_other_images_are_not_used(workspace: Workspace) -> None:
    values = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    shard = write_activations(workspace, values)
    keep(workspace, shard, values)
    ids = np.arange(40)
    assert top_images.read(workspace, shard, ids) is not None
    assert top_images.read(workspace, shard, ids + 1) is None
    assert top_images.read(workspace, shard | {"origin": "another"}, ids) is None
    write_activations(workspace, values + 1)  # another device's, for example
    assert top_images.read(workspace, shard, ids) is None
    workspace.activations("a", "fc", 0.0).unlink()
    assert top_images.read(workspace, shard, ids) is None


def write_activations(workspace: Workspace, values: np.ndarray) -> dict[str, Any]:
    path = workspace.activations("a", "fc", 0.0)
    ids = pa.array(np.arange(len(values)), pa.int32())
    with (
        workspace.writing("test"),
        workspace.writing_blocks(path, schemas.activations(4), ids, "origin") as add,
    ):
        add(values)
    return {"run": "a", "layer": "fc", "epoch": 0.0, "origin": "origin"}


def keep(workspace: Workspace, shard: dict[str, Any], values: np.ndarray) -> None:
    from cmon.extraction.blocks import TopOfBlocks

    top = TopOfBlocks()
    for part in torch.from_numpy(values).split(7):
        top.add(part)
    top_images.write(workspace, "a", "fc", 0.0, np.arange(len(values)), top.found())
