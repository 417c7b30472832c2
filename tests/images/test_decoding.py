from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmon.images.decoding import decode, decode_with_notes
from cmon.images.files import ImageFile, find_images
from cmon.images.preprocessing import Decoder, ResizeCrop
from tests.support.pictures import a_photo

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def decoded(image: Image.Image, path: Path, **options: Any) -> np.ndarray:
    image.save(path, **options)
    found = decode(path)
    assert found.mode == "RGB"
    return np.asarray(found)


def one_color(array: np.ndarray) -> tuple[int, ...]:
    assert (array == array[0, 0]).all()
    return tuple(array[0, 0].tolist())


def test_grey_images_have_three_equal_channels(tmp_path: Path) -> None:
    assert one_color(decoded(Image.new("L", (4, 4), 77), tmp_path / "a.png")) == (77, 77, 77)
    assert one_color(decoded(Image.new("1", (4, 4), 1), tmp_path / "b.png")) == WHITE


def test_images_of_16_bits_keep_their_brightness(tmp_path: Path) -> None:
    values = np.full((4, 4), 77 * 257, dtype=np.uint16)
    assert one_color(decoded(Image.fromarray(values), tmp_path / "a.png")) == (77, 77, 77)


def test_palette_images_get_their_colors(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([*RED, *GREEN])
    assert one_color(decoded(image, tmp_path / "a.png")) == GREEN


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    clear, half = Image.new("RGBA", (4, 4), (0, 0, 255, 0)), Image.new("RGBA", (4, 4), (0, 0, 255, 128))
    assert one_color(decoded(clear, tmp_path / "a.png")) == WHITE
    assert one_color(decoded(half, tmp_path / "b.png")) == (127, 127, 255)
    assert one_color(decoded(Image.new("LA", (4, 4), (9, 0)), tmp_path / "c.png")) == WHITE
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([*RED, *GREEN])
    assert one_color(decoded(palette, tmp_path / "d.png", transparency=1)) == WHITE
    assert one_color(decoded(palette, tmp_path / "e.png", transparency=b"\xff\x00")) == WHITE
    assert one_color(decoded(palette, tmp_path / "f.gif", transparency=1)) == WHITE
    assert one_color(decoded(Image.new("RGB", (4, 4), RED), tmp_path / "g.png", transparency=RED)) == WHITE


def test_cmyk_images_get_their_colors(tmp_path: Path) -> None:
    found = decoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), tmp_path / "a.jpg", quality=100)
    assert np.abs(found.astype(int) - RED).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotated_photos_stand_upright(tmp_path: Path, orientation: int) -> None:
    """A camera's orientation says how the stored pixels are to be turned; red is up, green is left of it."""
    upright = Image.new("RGB", (6, 4), WHITE)
    upright.paste(RED, (0, 0, 6, 2))
    upright.paste(GREEN, (0, 0, 3, 2))
    turn = {  # from upright to stored: the inverse of what the orientation asks for
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(decoded(stored, tmp_path / "a.png", exif=exif), np.asarray(upright))


def broken_exif(kind: str) -> bytes:
    """As cameras and editors wrote it, each with the orientation 6 where it has one."""
    ifd = struct.pack("<H", 2) + struct.pack("<HHII", 0x0112, 3, 1, 6)
    little_endian = b"Exif\0\0II*\0\x08\0\0\0"
    return {
        "zeros": b"Exif\0\0" + bytes(8),
        "header twice": b"Exif\0\0Exif\0\0II*\0\x08\0\0\0\0\0",
        "cut": little_endian + b"\x05\0\x12\x01",
        "far away": b"Exif\0\0II*\0\xff\xff\xff\x7f",
        "noise": b"Exif\0\0" + bytes(range(200)),
        "rational over 0": little_endian
        + ifd
        + struct.pack("<HHIII", 0x011A, 10, 1, 38, 0)
        + struct.pack("<ii", -1, 0),
        "orientation 99": little_endian + struct.pack("<HHHIII", 1, 0x0112, 3, 1, 99, 0),
        "orientation as text": little_endian + struct.pack("<HHHI4sI", 1, 0x0112, 2, 4, b"six\0", 0),
    }[kind]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize(
    "kind",
    [
        "zeros",
        "header twice",
        "cut",
        "far away",
        "noise",
        "rational over 0",
        "orientation 99",
        "orientation as text",
    ],
)
def test_broken_exif_does_not_cost_the_picture(tmp_path: Path, kind: str, suffix: str) -> None:
    """Where the orientation can be read, it is heeded; else the picture is read as it lies."""
    stored = Image.new("RGB", (16, 8), WHITE)
    stored.paste(RED, (0, 0, 8, 8))
    path = tmp_path / f"a.{suffix}"
    stored.save(path, exif=broken_exif(kind), **({"lossless": True} if suffix == "webp" else {}))
    picture = decode_with_notes(path)
    turned = kind == "rational over 0"
    wanted = stored.transpose(Image.Transpose.ROTATE_270) if turned else stored
    assert np.abs(np.asarray(picture.image).astype(int) - np.asarray(wanted)).max() <= 60
    assert turned or not picture.notes or "read as it lies" in picture.notes[0]


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tiff"])
def test_of_several_pictures_the_first_is_taken_and_that_is_said(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in (RED, GREEN, WHITE)]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    picture = decode_with_notes(path)
    assert one_color(np.asarray(picture.image)) == RED
    assert picture.notes == ("the first of several pictures in the file",)
    frames[0].save(path)
    assert decode_with_notes(path).notes == ()


def test_the_preview_in_a_raw_file_is_not_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    preview, whole = (Image.new("RGB", (side, side), RED) for side in (4, 64))
    preview.save(path, save_all=True, append_images=[whole], tiffinfo={254: 1})
    with pytest.raises(ValueError, match="a preview of another one"):
        decode(path)


def test_real_photographs_are_all_read(shared: Callable[[str], Path]) -> None:
    files = find_images(shared("photos"))
    grey = 0
    for file in files[::3]:
        assert file.error is None
        pixels = ResizeCrop(64, 64).pixels(decode(file.path))
        assert (pixels.shape, pixels.dtype) == ((64, 64, 3), np.uint8)
        assert pixels.std() > 5, f"{file.name} is of one colour"
        with Image.open(file.path) as stored:
            if stored.mode == "L":
                grey += 1
                assert (pixels == pixels[..., :1]).all()
    assert grey


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tiff", "gif", "jpg"])
def test_every_common_format_gives_its_colors(tmp_path: Path, suffix: str) -> None:
    Image.new("RGB", (16, 16), (200, 40, 90)).save(tmp_path / f"x.{suffix}")
    np.testing.assert_allclose(np.asarray(decode(tmp_path / f"x.{suffix}"))[8, 8], (200, 40, 90), atol=4)


# -- what cannot be read -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an image, or an empty one"),
        (b"hello", "not an image, or an empty one"),
        (b"<!DOCTYPE html>" * 50, "not an image, or an empty one"),
        ("half of a png", "truncated"),
        ("half of a jpeg", "truncated"),
    ],
)
def test_a_broken_file_gives_one_line_of_reason(tmp_path: Path, content: bytes | str, reason: str) -> None:
    path = tmp_path / "a.png"
    if isinstance(content, str):
        a_photo(200, 150).save(path, format=content.split()[-1])
        content = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(content)
    (file,) = find_images(tmp_path)
    position, array, error, _ = Decoder([file], ResizeCrop(16, 16))[0]
    assert (position, array) == (0, None)
    assert error is not None
    assert reason in error
    assert "\n" not in error


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (300, 300)).save(tmp_path / "a.png")
    for limit in (80_000, 10_000):  # Pillow warns above the limit and fails above twice the limit
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        _, array, error, _ = Decoder(find_images(tmp_path), ResizeCrop(16, 16))[0]
        assert array is None
        assert error is not None
        assert error.startswith("too large to be a photograph")


def test_bytes_changed_at_random_give_an_array_or_a_reason(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / "a"
    outcomes = set()
    for form in ("png", "jpeg", "gif", "webp", "bmp", "tiff"):
        a_photo(60, 40).save(path, format=form)
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(25):
            broken = whole.copy()
            broken[random.integers(0, len(broken), 3)] = random.integers(0, 256, 3)
            path.write_bytes(broken.tobytes())
            _, array, error, _ = Decoder([ImageFile(path, "a", "", None)], ResizeCrop(16, 16))[0]
            assert (array is None) != (error is None)
            assert array is None or array.shape == (16, 16, 3)
            outcomes.add(error is None)
    assert outcomes == {True, False}


@pytest.mark.parametrize("form", ["png", "jpeg", "gif", "webp", "bmp", "tiff", "ppm"])
def test_a_file_cut_anywhere_gives_the_whole_picture_or_none(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a"
    a_photo(60, 40).save(path, format=form)
    whole, pixels = path.read_bytes(), np.asarray(decode(path))
    for length in [*range(0, len(whole), max(1, len(whole) // 60)), *range(len(whole) - 20, len(whole))]:
        path.write_bytes(whole[:length])
        found = Decoder([ImageFile(path, "a", "", None)], ResizeCrop(40, 40))[0]
        assert found.error or (np.asarray(decode(path)) == pixels).all(), f"{length} of {len(whole)} bytes"
        if length < len(whole) // 2:
            assert found.error


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 200), (200, 1), (3, 2)])
def test_the_smallest_pictures_are_read(tmp_path: Path, width: int, height: int) -> None:
    Image.new("RGB", (width, height), RED).save(tmp_path / "a.png")
    found = Decoder(find_images(tmp_path), ResizeCrop(16, 16))[0]
    assert found.array is not None
    assert one_color(found.array) == RED


def test_pictures_that_are_lines_are_refused(tmp_path: Path) -> None:
    """Scaled to 224 pixels by its shorter side, this one would be 10 GB."""
    Image.new("L", (1, 65_000)).save(tmp_path / "a.png")
    found = Decoder(find_images(tmp_path), ResizeCrop(224, 224))[0]
    assert (found.array, found.error) == (None, "1 x 65000 pixels: one side is over 200 times the other")


def test_a_picture_without_pixels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ppm").write_bytes(b"P6 0 5 255\n")
    (tmp_path / "b.gif").write_bytes(b"GIF89a" + bytes(7) + b";")
    for found in map(Decoder(find_images(tmp_path), ResizeCrop(16, 16)).__getitem__, range(2)):
        assert found.array is None
        assert found.error


@pytest.mark.parametrize(
    ("start", "name"), [(b"\0\0\0\x18ftypheic", "HEIC"), (b"<svg xmlns=", "SVG"), (b"\x93NUMPY", "NumPy")]
)
def test_pictures_of_other_kinds_are_named(tmp_path: Path, start: bytes, name: str) -> None:
    (tmp_path / "a").write_bytes(start + bytes(200))
    found = Decoder(find_images(tmp_path), ResizeCrop(16, 16))[0]
    assert found.error is not None
    assert found.error.startswith(f"a {name} file")
