"""Files that are written in blocks are those that are written at once, and no more than a block is held."""

from __future__ import annotations

import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from cmon.errors import CmonError
from cmon.extraction import activations, stage
from cmon.extraction.blocks import BLOCK_BYTES, Block, TopOfBlocks, images_in_block
from cmon.extraction.feed import PixelFeed
from cmon.extraction.layers.output import LayerOutput
from cmon.extraction.settings import ExtractSettings
from cmon.images.pixels import Pixels
from cmon.workspace import schemas, top_images
from cmon.workspace.table_blocks import read_in_blocks
from cmon.workspace.table_files import read_noted, stamp
from cmon.workspace.workspace import Workspace
from tests.support import tiny_models

NETWORK = ExtractSettings(
    "python:tests.support.tiny_models:network", ("conv1", "fc"), workers=0, batch_size=4
)


def test_a_quarter_of_a_million_images_of_all_convolutions_of_a_resnet50_stay_in_memory() -> None:
    images = images_in_block(250_000, 26_560, 8)
    assert images * 26_560 * 4 <= BLOCK_BYTES <= 0.1 * 4e9
    assert images % 8 == 0


@pytest.mark.parametrize(("images", "units", "expected"), [(40, 10, 40), (40, 1 << 30, 8), (3, 10, 3)])
def test_a_block_is_whole_batches_and_at_least_one(images: int, units: int, expected: int) -> None:
    assert images_in_block(images, units, 8) == expected


def read_all(workspace: Workspace) -> dict[str, tuple[list[dict[str, object]], dict[str, object]]]:
    found = {}
    for path in sorted((workspace.root / "activations").rglob("*.parquet")):
        table, note = read_noted(path)
        found[path.relative_to(workspace.root).as_posix()] = table.to_pylist(), note
    return found


def test_blocks_give_the_files_of_one_block(
    tmp_path: Path, checkpoints_folder: Path, probe_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = Workspace(tmp_path / "whole"), Workspace(tmp_path / "parts")
    stage.extract(whole, {"run": checkpoints_folder}, probe_folder, NETWORK)
    real = activations.images_in_block
    monkeypatch.setattr(activations, "images_in_block", lambda *found: real(*found[:3], most=4 * 12 * 11))
    stage.extract(parts, {"run": checkpoints_folder}, probe_folder, NETWORK)
    assert read_all(parts) == read_all(whole)  # hashes of the content included
    (one, *_), (many, *_) = (sorted(place.root.rglob("conv1/*.parquet")) for place in (whole, parts))
    assert pq.read_metadata(one).num_row_groups == 1
    assert [pq.read_metadata(many).row_group(group).num_rows for group in range(4)] == [12, 12, 12, 4]
    assert not list(parts.root.rglob("*.part"))
    assert parts.written_bytes >= many.stat().st_size


def test_a_table_of_blocks_is_not_visible_before_its_last_row(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    path = workspace.activations("run", "layer", 1)
    keys = pa.array(range(6), pa.int32())
    with workspace.writing_blocks(path, schemas.activations(2), keys, "origin", {"axes": "flat"}) as add:
        for _ in range(2):
            add(np.ones((3, 2), np.float32))
            assert not path.exists()
    assert stamp(path)["parameters"] == {"axes": "flat"}
    before = path.read_bytes()
    opened = workspace.writing_blocks(path, schemas.activations(2), keys, "other")
    with pytest.raises(CmonError, match="not all rows were made"), opened as add:
        add(np.ones((3, 2), np.float32))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_no_more_than_a_block_is_held(tmp_path: Path) -> None:
    """6,000 images of 2,000 units are 48 MB, of which 2 are held."""
    workspace, most = Workspace(tmp_path), 2_000_000
    output = LayerOutput("fc", (2000,), "flat")
    size = images_in_block(6000, 2000, 10, most)
    keys = pa.array(range(6000), pa.int32())
    path = workspace.activations("run", "fc", 0)
    allocated = pa.total_allocated_bytes()
    tracemalloc.start()
    with workspace.writing_blocks(path, schemas.activations(2000), keys, "origin") as add:
        held = Block([output], size, "cpu")
        for start in range(0, 6000, size):
            rows = min(size, 6000 - start)
            held.put(slice(0, rows), {"fc": torch.full((rows, 2000), float(start))})
            add(held.take(rows)["fc"])
            assert pa.total_allocated_bytes() - allocated < 3 * most
    assert tracemalloc.get_traced_memory()[1] < 2 * most
    tracemalloc.stop()
    assert pq.read_metadata(path).num_row_groups == 24
    assert read_noted(path)[0].num_rows == 6000


def written(workspace: Workspace, rows: int = 7) -> Path:
    path = workspace.activations("run", "layer", 1)
    keys = pa.array(range(rows), pa.int32())
    with workspace.writing_blocks(path, schemas.activations(3), keys, "origin") as add:
        for start in range(0, rows, 3):
            add(np.arange(3 * start, 3 * min(start + 3, rows), dtype=np.float32).reshape(-1, 3))
    return path


def test_a_file_is_read_in_the_blocks_in_which_it_was_written(tmp_path: Path) -> None:
    path = written(Workspace(tmp_path))
    blocks = list(read_in_blocks(path))
    assert [len(block) for block in blocks] == [3, 3, 1]
    assert np.array_equal(np.concatenate(blocks), schemas.matrix(read_noted(path)[0]["activations"]))


def test_blocks_of_a_file_that_was_changed_are_an_error(tmp_path: Path) -> None:
    path = written(Workspace(tmp_path))
    content = bytearray(path.read_bytes())
    content[40] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(CmonError, match=r"cannot be read|was changed since"):
        list(read_in_blocks(path))


@pytest.fixture
def pixels(tmp_path: Path) -> Pixels:
    values = np.random.default_rng(0).integers(0, 256, (600, 4, 4, 3), dtype=np.uint8)
    path = tmp_path / "pixels.bin"
    path.write_bytes(values.tobytes())
    checksums = np.array([zlib.crc32(one.tobytes()) for one in values], np.uint32)
    return Pixels(path, (4, 4, 3), np.dtype(np.uint8), checksums)


def test_pixels_that_are_kept_are_those_of_the_cache(pixels: Pixels) -> None:
    kept = PixelFeed(pixels, "cpu", most=600 * 48)
    assert kept.keeps_all
    read = PixelFeed(pixels, "cpu")
    assert not read.keeps_all
    assert not PixelFeed(pixels, "cpu", most=600 * 48 - 1).keeps_all
    for rows in (slice(0, 1), slice(250, 300), slice(590, 600)):
        assert torch.equal(kept[rows], torch.from_numpy(pixels[rows]))
        assert torch.equal(kept[rows], read[rows])


def test_a_resumed_run_has_the_bits_of_one_in_one_go(
    tmp_path: Path, checkpoints_folder: Path, probe_folder: Path
) -> None:
    """A file that is missing is made with the other layers in mind: which are read decides what is fused."""
    settings = replace(
        NETWORK,
        model="python:tests.support.tiny_models:normed",
        layers=("conv2", "norm1", "out"),
        precision="bf16",
    )
    for epoch, path in enumerate(sorted(checkpoints_folder.iterdir())):
        torch.manual_seed(epoch)
        torch.save({"state_dict": tiny_models.normed().state_dict(), "epoch": epoch}, path)
    workspace = Workspace(tmp_path / "work")
    stage.extract(workspace, {"run": checkpoints_folder}, probe_folder, settings)
    before = read_all(workspace)
    for path in (workspace.root / "activations").rglob("*.parquet"):
        if path.parent.name != "conv2":
            path.unlink()
    stage.extract(workspace, {"run": checkpoints_folder}, probe_folder, settings)
    assert read_all(workspace) == before


@pytest.mark.parametrize("size", [1, 7, 40])
def test_top_images_are_those_of_all_blocks(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against sorting everything at once: many equal activations, a NaN, an infinity."""
    monkeypatch.setattr(top_images, "KEPT", 5)
    values = np.random.default_rng(0).integers(-2, 4, size=(40, 6)).astype(np.float32)
    values[3, 0], values[9, 1] = np.nan, np.inf
    top = TopOfBlocks()
    for block in torch.from_numpy(values).split(size):
        top.add(block)
    found = top.found()
    known = np.nan_to_num(values)
    for unit in range(6):
        wanted = sorted(range(40), key=lambda image: (-known[image, unit], image))[:5]
        assert found.images[unit].tolist() == wanted
        assert found.values[unit].tolist() == known[wanted, unit].tolist()
    assert found.least.tolist() == known.min(axis=0).tolist()
    assert found.finite.tolist() == [False, False, True, True, True, True]
