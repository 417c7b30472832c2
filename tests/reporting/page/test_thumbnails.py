import base64
import io

import numpy as np
import pytest
from PIL import Image

from cmon.reporting.page import thumbnails
from cmon.workspace.files import file_digest


@pytest.fixture
def files(tmp_path):
    """30 pictures, each of one colour: red by its number."""
    found = {}
    for number in range(30):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (40, 30), (8 * number, 120, 40)).save(path)
        found[number] = (path, file_digest(path))
    return found


def test_every_picture_is_its_own_file(files):
    pictures, missing = thumbnails.read_pictures(files, 16)
    assert missing == {}
    assert list(pictures) == list(files)
    for number, picture in pictures.items():
        assert picture.size == (16, 16)
        assert picture.getpixel((8, 8)) == (8 * number, 120, 40)


def test_what_cannot_be_shown_says_why(files, tmp_path):
    files[1][0].write_bytes(b"no image")
    Image.new("RGB", (40, 30)).save(files[2][0])
    files[3][0].unlink()
    files[4] = (tmp_path / "text.png", None)
    files[4][0].write_text("no image")
    pictures, missing = thumbnails.read_thumbnails(files)
    assert set(pictures) == set(files) - {1, 2, 3, 4}
    assert missing == {
        1: "changed since it was extracted",
        2: "changed since it was extracted",
        3: "no longer there",
        4: "not an image, or an empty one",
    }


def test_thumbnails_are_small_webp_files(files):
    made, _ = thumbnails.read_thumbnails(files)
    with Image.open(io.BytesIO(made[20])) as picture:
        assert (picture.format, picture.size) == ("WEBP", (thumbnails.SIZE, thumbnails.SIZE))
        assert np.asarray(picture.convert("RGB"))[48, 48].astype(int) == pytest.approx([160, 120, 40], abs=6)


def test_a_large_photograph_is_read_at_a_smaller_scale_and_looks_the_same(tmp_path):
    ramp = np.linspace(0, 255, 1600).astype(np.uint8)
    pixels = np.stack(
        [np.tile(ramp, (1200, 1)), np.full((1200, 1600), 90, np.uint8), np.tile(ramp[::-1], (1200, 1))], 2
    )
    Image.fromarray(pixels).save(tmp_path / "large.jpg", quality=95)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    pictures, _ = thumbnails.read_pictures(
        {0: (tmp_path / "large.jpg", None), 1: (tmp_path / "large.png", None)}, 96
    )
    assert np.asarray(pictures[0]) == pytest.approx(np.asarray(pictures[1]).astype(int), abs=4)


def test_a_picture_far_too_large_is_refused_in_every_thread(files, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 800)  # a bomb is one and a half times as large
    pictures, missing = thumbnails.read_thumbnails(files)
    assert pictures == {}
    assert all(why.startswith("too large to be a photograph") for why in missing.values())


def test_classes_point_into_the_page_or_beside_it():
    inside = thumbnails.css_classes(thumbnails.data_uris({7: b"picture"}))
    beside = thumbnails.css_classes(thumbnails.file_uris({7: b"picture"}))
    assert (
        inside
        == f'.t7{{background-image:url("data:image/webp;base64,{base64.b64encode(b"picture").decode()}")}}\n'
    )
    assert beside == '.t7{background-image:url("thumbnails/7.webp")}\n'
