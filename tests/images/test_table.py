from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmon.images import pixel_cache
from cmon.images.files import find_images
from cmon.images.pixel_cache import Probe, decode_probe
from cmon.images.preprocessing import ResizeCrop
from cmon.progress import silent
from cmon.workspace.stored_paths import find_image
from cmon.workspace.workspace import Workspace


def a_picture(path: Path, value: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (6, 6), value).save(path)
    return path


def probe_of(folder: Path, work: Path) -> Probe:
    return decode_probe(Workspace(work), find_images(folder), ResizeCrop(4, 4), 0, silent)


def test_names_that_are_not_utf_8_are_stored_and_found_again(tmp_path: Path) -> None:
    names = [b"caf\xe9.png", b"caf\\xe9.png", b"two\nlines.png"]
    (tmp_path / "probe").mkdir()
    for value, name in enumerate(names):
        a_picture(tmp_path / "a.png", 50 * value).rename(tmp_path / "probe" / os.fsdecode(name))
    probe = probe_of(tmp_path / "probe", tmp_path / "work")
    rows = Workspace(tmp_path / "work").read("images").to_pylist()
    assert {Path(row["path"]).name for row in rows} == {r"caf\xe9.png", r"caf\\xe9.png", r"two\x0alines.png"}
    for row, pixels in zip(rows, probe.pixels[0:3], strict=True):
        path = find_image(row, tmp_path / "work")
        assert names.index(os.fsencode(path.name)) * 50 == pixels[0, 0, 0]


def test_copies_and_what_was_decided_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    probe = tmp_path / "probe"
    for number, value in enumerate((7, 8, 7, 7)):
        a_picture(probe / f"{number}.png", value)
    Image.fromarray(np.full((6, 6), 0.5, np.float32)).save(probe / "float.tiff")
    frames = [Image.new("L", (6, 6), value) for value in (9, 10)]
    frames[0].save(probe / "moving.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(np.full((6, 6), 700.0, np.float32)).save(probe / "unknown.tiff")
    found = probe_of(probe, tmp_path / "work")
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"probe images: float pixels, taken as 0..1: 1 of 6, for example {probe}/float.tiff",
        f"probe images: the first of several pictures in the file: 1 of 6, for example {probe}/moving.gif",
        f"probe images that are copies of others, byte for byte: 2 of 6, for example {probe}/0.png and "
        f"{probe}/2.png: each counts, so that they stand side by side among a unit's top images; leave the "
        "copies out if that is not wanted",
    ]
    assert found.skipped == [
        (f"{probe}/unknown.tiff", "float pixels from 700 to 700: no known range (0..1, 0..255)")
    ]
    notes = {
        Path(row["path"]).name: row["notes"]
        for row in Workspace(tmp_path / "work").read("images").to_pylist()
    }
    assert notes["float.tiff"] == "float pixels, taken as 0..1"
    assert notes["0.png"] is notes["unknown.tiff"] is None


def test_of_different_pictures_nothing_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for value in range(5):
        a_picture(tmp_path / "probe" / f"{value}.png", value)
    probe_of(tmp_path / "probe", tmp_path / "work")
    assert not caplog.records


def test_images_at_another_place_are_written_down_without_decoding_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_picture(tmp_path / "probe" / "1.png", 7)
    before = probe_of(tmp_path / "probe", tmp_path / "work")
    origin = Workspace(tmp_path / "work").origin("images")
    (tmp_path / "probe").rename(tmp_path / "moved")
    monkeypatch.setattr(pixel_cache.preprocessing, "decode_all", None)
    after = probe_of(tmp_path / "moved", tmp_path / "work")
    workspace = Workspace(tmp_path / "work")
    assert workspace.read("images")["path"].to_pylist() == [f"{tmp_path}/moved/1.png"]
    assert before.origin == after.origin == workspace.origin("images") == origin
