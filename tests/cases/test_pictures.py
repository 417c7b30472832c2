"""Where labelled pictures come from: folders, the drawn world, halves of the classes, memory or not."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from PIL import Image

from cmon.images.decoding import decode
from cmon.images.preprocessing import ResizeCrop
from scripts.cases import pictures as module
from scripts.cases.pictures import drawn_world, image_folders


def test_pictures_are_read_as_extraction_reads_them(photographs: Path) -> None:
    found = image_folders(photographs / "train", photographs / "test", 16)
    assert found.names == ("blue", "green", "grey", "red")
    assert (tuple(found.test.pixels.shape), found.test.pixels.dtype) == ((40, 3, 16, 16), torch.uint8)
    assert found.test.classes.tolist() == [n for n in range(4) for _ in range(10)]
    for position in (0, 25):
        expected = ResizeCrop(16, 16).pixels(decode(found.test.files[position]))
        np.testing.assert_array_equal(found.test.pixels[position].permute(1, 2, 0).numpy(), expected)


def test_what_does_not_fit_into_memory_is_decoded_when_needed(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = image_folders(photographs / "train", photographs / "test", 16).test
    positions = torch.tensor([3, 39, 0, 17, 20]).split(2)
    assert test.fits
    held = list(test.batches(positions))
    monkeypatch.setattr(module, "MOST_IN_MEMORY", 1000)
    assert not test.fits
    decoded = list(test.batches(positions))
    assert [len(pixels) for pixels, _ in decoded] == [2, 2, 1]
    for (one, named), (two, again) in zip(held, decoded, strict=True):
        assert torch.equal(one, two)
        assert torch.equal(named, again)


def test_without_pictures_to_test_with_the_same_tenth_is_held_out(photographs: Path) -> None:
    one, two = (image_folders(photographs / "train", None, 16) for _ in range(2))
    assert (len(one.train), len(one.test)) == (144, 16)
    assert one.test.files == two.test.files
    assert not set(one.test.files) & set(one.train.files)
    for part in (one.train, one.test):
        named = [one.names[label] for label in part.classes.tolist()]
        assert named == [file.parent.name for file in part.files]


def test_halves_share_no_class_and_count_from_nothing(photographs: Path) -> None:
    halves = [image_folders(photographs / "train", photographs / "test", 16, half=half) for half in (0, 1)]
    assert [found.names for found in halves] == [("blue", "green"), ("grey", "red")]
    for found in halves:
        for part in (found.train, found.test):
            named = [found.names[label] for label in part.classes.tolist()]
            assert named == [file.parent.name for file in part.files]
    assert len({found.fingerprint for found in halves}) == 2


def test_other_pictures_have_another_fingerprint(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs, tmp_path / "copy")
    copy = tmp_path / "copy"
    before = image_folders(photographs / "train", photographs / "test", 16).fingerprint
    assert image_folders(copy / "train", copy / "test", 16).fingerprint == before
    (copy / "test" / "red" / "09.png").rename(copy / "test" / "blue" / "99.png")
    assert image_folders(copy / "train", copy / "test", 16).fingerprint != before


def test_folders_that_cannot_be_trained_with_are_refused_and_named(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs / "test", tmp_path / "test")
    (tmp_path / "test" / "red").rename(tmp_path / "test" / "rot")
    with pytest.raises(click.UsageError, match=r"expected the classes of .*blue.*red; found .*rot"):
        image_folders(photographs / "train", tmp_path / "test", 16)
    (tmp_path / "empty").mkdir()
    with pytest.raises(click.UsageError, match="a folder of pictures for each class"):
        image_folders(tmp_path / "empty", None, 16)
    shutil.copytree(photographs / "test" / "red", tmp_path / "bad" / "red")
    with pytest.raises(click.UsageError, match="two classes or more"):
        image_folders(tmp_path / "bad", None, 16)
    (tmp_path / "bad" / "red" / "00.png").write_text("no picture")
    shutil.copytree(photographs / "test" / "blue", tmp_path / "bad" / "blue")
    found = image_folders(tmp_path / "bad", None, 16)
    with pytest.raises(click.UsageError, match=r"00\.png: no picture to train with"):
        [part.pixels for part in (found.train, found.test)]


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """30 pictures, each third with one object, with two, with a scene."""
    (tmp_path / "images").mkdir()
    lines = ["path,object,part,scene"]
    for number in range(30):
        Image.new("RGB", (16, 16), (number, 0, 0)).save(tmp_path / f"images/{number:05}.png")
        shown = ("cat,,", "cat;dog,,", "dog,,beach")[number % 3]
        lines.append(f"images/{number:05}.png,{shown}")
    (tmp_path / "truth.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "recipe.json").write_text("{}")
    return tmp_path


def test_of_the_drawn_world_pictures_that_show_one_thing_are_taken(world: Path) -> None:
    found = drawn_world(world, "object", 16)
    assert found.names == ("cat", "dog")
    assert (len(found.train), len(found.test)) == (18, 2)
    for part in (found.train, found.test):
        numbers = part.pixels[:, 0, 0, 0].tolist()
        assert [(0, 2)[label] for label in part.classes.tolist()] == [number % 3 for number in numbers]
    scenes = drawn_world(world, "scene", 16)
    assert scenes.names == ("beach",)
    assert len(scenes.train) + len(scenes.test) == 10
    assert scenes.fingerprint != found.fingerprint
