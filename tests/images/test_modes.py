"""Every kind of pixel, from files with a planted brightness."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmon.images.decoding import decode, decode_with_notes

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
"""Every grey level once."""


def read(path: Path) -> np.ndarray:
    return np.asarray(decode(path)).astype(int)


def grey(path: Path) -> np.ndarray:
    pixels = read(path)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


def a_png(path: Path, depth: int, kind: int, rows: list[bytes], *chunks: tuple[bytes, bytes]) -> Path:
    """A PNG of 2 rows, byte for byte. kind: 0 grey, 2 colour, 4 grey with alpha, 6 colour with alpha."""
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[kind]
    width = len(rows[0]) * 8 // depth // samples
    header = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in parts
        )
    )
    return path


def a_tiff(
    path: Path, values: np.ndarray, *, white_is_zero: bool = False, bits: int = 0, more: tuple = ()
) -> Path:
    """A grey TIFF, byte for byte, in the values' own byte order and type."""
    order = "<" if values.dtype.newbyteorder("=") == values.dtype or values.dtype.byteorder == "<" else ">"
    data = values.tobytes()
    size = bits or values.dtype.itemsize * 8
    form = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags = [
        (256, 3, values.shape[1]),
        (257, 3, values.shape[0]),
        (258, 3, size),
        (259, 3, 1),
        (262, 3, 0 if white_is_zero else 1),
        (273, 4, 0),
        (277, 3, 1),
        (278, 3, values.shape[0]),
        (279, 4, len(data)),
        (339, 3, form),
        *more,
    ]
    start = 8 + 2 + 12 * len(tags) + 4
    entries = b""
    for tag, kind, value in sorted(tags):
        value = start if tag == 273 else value
        packed = struct.pack(order + ("HH" if kind == 3 else "I"), *([value, 0] if kind == 3 else [value]))
        entries += struct.pack(order + "HHI", tag, kind, 1) + packed
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    path.write_bytes(head + struct.pack(order + "H", len(tags)) + entries + b"\0\0\0\0" + data)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_16_bits_are_scaled_from_their_whole_range(tmp_path: Path, order: str, suffix: str) -> None:
    values = RAMP.astype(np.uint16) * 257
    path = tmp_path / f"a.{suffix}"
    if suffix == "tiff":
        a_tiff(path, values.astype(order + "u2"))
    elif suffix == "pgm":
        path.write_bytes(b"P5 16 16 65535\n" + values.astype(">u2").tobytes())
    else:
        Image.fromarray(values).save(path)
    np.testing.assert_array_equal(grey(path), RAMP)
    assert decode_with_notes(path).notes == ()


def test_a_dark_picture_of_16_bits_stays_dark(tmp_path: Path) -> None:
    """The file says which range it has; its own brightest pixel has no part in it."""
    Image.fromarray(RAMP.astype(np.uint16)).save(tmp_path / "a.png")
    assert grey(tmp_path / "a.png").max() <= 1


def test_a_pgm_of_another_maximum_is_scaled_from_it(tmp_path: Path) -> None:
    values = (RAMP.astype(np.uint32) * 1023 // 255).astype(">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5 16 16 1023\n" + values.tobytes())
    np.testing.assert_allclose(grey(tmp_path / "a.pgm"), RAMP, atol=1)


def test_12_bits_in_a_tiff_are_scaled_from_12_bits(tmp_path: Path) -> None:
    values = (RAMP.astype(int) * 4095 // 255).reshape(-1, 2)
    packed = np.stack(
        [values[:, 0] >> 4, ((values[:, 0] & 15) << 4) | (values[:, 1] >> 8), values[:, 1] & 255], axis=1
    ).astype(np.uint8)
    path = a_tiff(tmp_path / "a.tiff", packed.reshape(16, 24), bits=12)
    width = [struct.pack("<HHIHH", 256, 3, 1, pixels, 0) for pixels in (24, 16)]  # not of bytes, of pixels
    path.write_bytes(path.read_bytes().replace(*width))
    np.testing.assert_allclose(grey(path), RAMP, atol=1)


@pytest.mark.parametrize(
    ("values", "top"), [(RAMP, 255), (RAMP.astype("<u2") * 257, 65535), (RAMP.astype("<f4") / 255, 1)]
)
def test_where_0_is_white_it_is_white(tmp_path: Path, values: np.ndarray, top: int) -> None:
    path = a_tiff(tmp_path / "a.tiff", (top - values).astype(values.dtype), white_is_zero=True)
    np.testing.assert_array_equal(grey(path), RAMP)


@pytest.mark.parametrize("kind", ["<i4", ">i4", "<u4", "<i2", ">i2"])
@pytest.mark.parametrize("factor", [1, 257])
def test_wide_integers_are_of_the_smallest_range_that_holds_them(
    tmp_path: Path, kind: str, factor: int
) -> None:
    values = RAMP.astype(np.int64) * factor
    if kind[1:] == "i2" and factor == 257:
        values = values // 2  # half as bright, so that they fit
        wanted = values * 255 // 65535
    else:
        wanted = RAMP.astype(int)
    path = a_tiff(tmp_path / "a.tiff", values.astype(kind))
    np.testing.assert_allclose(grey(path), wanted, atol=1)
    assert decode_with_notes(path).notes == (f"integer pixels, taken as 0..{255 if factor == 1 else 65535}",)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("highest", [1, 255])
def test_floats_are_from_0_to_1_or_255(tmp_path: Path, order: str, highest: int) -> None:
    values = (RAMP / 255 * highest).astype(order + "f4")
    path = a_tiff(tmp_path / "a.tiff", values)
    np.testing.assert_array_equal(grey(path), RAMP)
    assert decode_with_notes(path).notes == (f"float pixels, taken as 0..{highest}",)


def test_what_rounding_puts_outside_the_range_is_cut(tmp_path: Path) -> None:
    values = np.array([[-1e-4, 0.5], [1.0, 1.0005]], dtype="<f4")
    assert grey(a_tiff(tmp_path / "a.tiff", values)).tolist() == [[0, 128], [255, 255]]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.array([[-3.1, 812]], "<f4"), r"float pixels from -3\.1 to 812: no known range \(0..1, 0..255\)"),
        (np.array([[0.0, 3.0]], "<f4"), "float pixels from 0 to 3: no known range"),  # overshot, or nearly black
        (np.array([[-0.5, 1.0]], "<f4"), "no known range"),
        (np.array([[0.0, 65535.0]], "<f4"), "no known range"),
        (np.array([[0.5, np.nan]], "<f4"), "float pixels that are no number"),
        (np.array([[0.5, np.inf]], ">f4"), "float pixels that are no number"),
        (np.array([[-5, 200]], "<i4"), "integer pixels from -5 to 200: no known range"),
        (np.array([[0, 70_000]], ">i4"), "integer pixels from 0 to 70000: no known range"),
        (np.array([[-1, 5]], "<i2"), "integer pixels from -1 to 5"),
        (np.array([[0.0, 1.0]], "<f8"), "a TIFF file that is damaged, or of a kind that is not read"),
    ],
)  # fmt: skip
def test_values_of_no_known_range_are_refused(tmp_path: Path, values: np.ndarray, reason: str) -> None:
    path = a_tiff(tmp_path / "a.tiff", values)
    with pytest.raises(ValueError, match=reason):
        decode(path)


# -- colour and transparency ---------------------------------------------------------------------------


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_of_adobe_is_read_and_other_refused(tmp_path: Path, adobe: bool) -> None:
    """Only with Adobe's mark it is known that a JPEG's CMYK values are stored inverted."""
    Image.new("CMYK", (16, 16), (200, 0, 0, 50)).save(tmp_path / "a.jpg", quality=100)
    if adobe:
        wanted = (255 - 200) * (255 - 50) / 255, 205, 205
        assert np.abs(read(tmp_path / "a.jpg") - wanted).max() <= 4
        return
    data = (tmp_path / "a.jpg").read_bytes()
    at = data.index(b"\xff\xee")
    (tmp_path / "a.jpg").write_bytes(data[:at] + data[at + 16 :])
    with pytest.raises(ValueError, match="CMYK without Adobe's mark"):
        decode(tmp_path / "a.jpg")


def test_cmyk_of_a_tiff_is_not_inverted(tmp_path: Path) -> None:
    Image.new("CMYK", (4, 4), (255, 0, 255, 0)).save(tmp_path / "a.tiff")
    assert read(tmp_path / "a.tiff")[0, 0].tolist() == [0, 255, 0]


@pytest.mark.parametrize(("lightness", "wanted"), [(0, 0), (136, 128), (255, 255)])
def test_lab_keeps_its_lightness(tmp_path: Path, lightness: int, wanted: int) -> None:
    neutral = Image.merge("LAB", [Image.new("L", (4, 4), value) for value in (lightness, 128, 128)])
    neutral.save(tmp_path / "a.tiff")
    assert np.abs(read(tmp_path / "a.tiff") - wanted).max() <= 4


def test_ycbcr_keeps_its_color(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (200, 40, 90)).convert("YCbCr").save(tmp_path / "a.tiff")
    assert np.abs(read(tmp_path / "a.tiff") - (200, 40, 90)).max() <= 3


@pytest.mark.parametrize("mode", ["La", "LA", "PA", "RGBa", "RGBA"])
def test_every_kind_of_transparency_is_laid_on_white(mode: str) -> None:
    from cmon.images.modes import to_rgb

    half = Image.merge("RGBA", [Image.new("L", (4, 4), value) for value in (60, 60, 60, 128)])
    if mode in ("La", "LA"):
        half = half.convert("LA").convert(mode)
    elif mode == "PA":
        half = Image.new("L", (4, 4), 60).convert("P")
        half.putalpha(128)
        assert half.mode == "PA"
    else:
        half = half.convert(mode)
    image, _ = to_rgb(half)
    assert np.abs(np.asarray(image).astype(int) - (60 * 128 + 255 * 127) / 255).max() <= 2


@pytest.mark.parametrize(
    ("depth", "kind", "rows", "clear", "wanted"),
    [
        (1, 0, [b"\x40", b"\x40"], b"\0\1", [0, 255]),  # bits 0 and 1: white because clear
        (1, 0, [b"\x40", b"\x40"], b"\0\0", [255, 255]),
        (2, 0, [b"\x1b", b"\x1b"], b"\0\2", [0, 85, 255, 255]),
        (4, 0, [b"\x07", b"\x07"], b"\0\7", [0, 255]),
        (8, 0, [b"\0\x07", b"\0\x07"], b"\0\7", [0, 255]),
        (16, 0, [b"\x10\x10\x20\x20"] * 2, b"\x20\x20", [16, 255]),
        (16, 0, [b"\x10\x10\x20\x20"] * 2, b"\x20\x21", [16, 32]),
        (8, 2, [b"\1\1\1\2\2\2"] * 2, b"\0\2\0\2\0\2", [1, 255]),
        (16, 2, [b"\1\1" * 3 + b"\2\2" * 3] * 2, b"\2\2" * 3, [1, 255]),
        (16, 2, [b"\0\0" * 3 + b"\2\0" * 3] * 2, b"\2\0" * 3, [0, 255]),
    ],
)
def test_one_transparent_color_is_laid_on_white_at_every_depth(
    tmp_path: Path, depth: int, kind: int, rows: list[bytes], clear: bytes, wanted: list[int]
) -> None:
    path = a_png(tmp_path / "a.png", depth, kind, rows, (b"tRNS", clear))
    assert grey(path)[0, : len(wanted)].tolist() == wanted


@pytest.mark.parametrize(("kind", "samples"), [(4, 1), (6, 3)])
def test_16_bits_with_transparency_are_laid_on_white(tmp_path: Path, kind: int, samples: int) -> None:
    row = b"\x50\x50" * samples + b"\xff\xff" + b"\x50\x50" * samples + b"\0\0"
    assert grey(a_png(tmp_path / "a.png", 16, kind, [row, row]))[0].tolist() == [0x50, 255]


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"compression": "tiff_deflate"}])
def test_compressed_tiffs_give_the_same(tmp_path: Path, options: dict[str, Any]) -> None:
    Image.fromarray(RAMP.astype(np.uint16) * 257).save(tmp_path / "a.tiff", **options)
    np.testing.assert_array_equal(grey(tmp_path / "a.tiff"), RAMP)
