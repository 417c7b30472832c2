"""Image files as upright RGB pictures.

Only the formats of FORMATS are opened, by what is in a file, not by its name: for some others Pillow starts programs.

Of a file with several pictures (an animation, a TIFF of many pages) the first is read. A photograph whose EXIF data is
damaged is read; it is turned upright if its orientation can still be read, and else left as it lies.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError

from cmon.images.modes import to_rgb
from cmon.regular_files import open_regular

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's names of what is read; JPEG includes the files of several views that cameras write (MPO)."""
RULES = 3
"""Raised when a file is read as other pixels than before; part of the origin of all that is made from them."""
MOST_ELONGATED = 200
"""A picture of which one side is so many times the other is none that a network could be shown: scaled to the
network's input by its shorter side it would need gigabytes."""
MOST_PIXELS = 2**26
"""67 million: more than cameras of the size of a photographer's have. Decoded, that is 268 MB."""
MOST_BYTES = 1 << 28
"""Of a file."""
_MOST_SCANNED = 2**30
"""Pixels of a JPEG times its scans: each goes over the whole picture again, and may take no more than 10 bytes."""
_SCAN = b"\xff\xda"

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""From EXIF's orientation to what turns the stored pixels upright."""
_ORIENTATION = 0x0112
_TIFF_KIND, _TIFF_INNER = 254, 330
_ONE_PICTURE = ("MPO",)
"""Formats that hold a picture in several views: Pillow gives the whole one."""
_SIGNATURES = (
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypavif", "AVIF"),
    (0, b"\x89PNG", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"GIF8", "GIF"),
    (0, b"<svg", "SVG"),
    (0, b"%PDF", "PDF"),
    (0, b"\x93NUMPY", "NumPy"),
    (128, b"DICM", "DICOM"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\xd7\xcd\xc6\x9a", "WMF"),
    (40, b" EMF", "EMF"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"\x89HDF", "HDF5"),
    (0, b"qoif", "QOI"),
)
"""Offset and first bytes of formats that are pictures, though Pillow may not read them."""


@dataclass(frozen=True)
class Picture:
    """A decoded file."""

    image: Image.Image
    """Upright, RGB."""
    notes: tuple[str, ...] = ()
    """What was decided that the file does not say."""


def decode(path: Path) -> Image.Image:
    """Read a file as an upright RGB image; transparent pixels are laid on white.

    Raises OSError, ValueError or Pillow's errors; `reason` makes a line of text of them.
    """
    return decode_with_notes(path).image


def decode_with_notes(path: Path) -> Picture:
    """As `decode`, with what was decided on the way."""
    with bombs_refused(), open_regular(path) as file:
        return _read(file, None)


@contextmanager
def bombs_refused() -> Iterator[None]:
    """Context in which an image too large to be a photograph is an error, not a warning, in all threads.

    What else Pillow warns of (damaged EXIF, odd metadata) is not said: pixels are read or not.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def upright(source: IO[bytes], enough: int | None = None) -> Image.Image:
    """As `decode`, but to be called inside `bombs_refused`, by any number of threads.

    enough: pixels per side that are needed; a JPEG is then decoded at the smallest of its own scales that has them,
    which is several times as fast.
    """
    return _read(source, enough).image


def _read(source: IO[bytes], enough: int | None) -> Picture:
    size = source.seek(0, os.SEEK_END)
    if size > MOST_BYTES:
        raise ValueError(f"a file of {size:,} bytes: none over {MOST_BYTES:,} is read as a picture")
    source.seek(0)
    try:
        opened = Image.open(source, formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ValueError(_not_an_image(source)) from error
    with opened:
        _require_photograph(opened, source)
        if enough:
            opened.draft("RGB", (enough, enough))  # other formats ignore it
        several = _holds_several(opened)
        image, said = to_rgb(opened)
        orientation = _orientation(opened)
        if orientation in _UPRIGHT:
            image = image.transpose(_UPRIGHT[orientation])
    notes = [
        "the first of several pictures in the file" if several else None,
        "damaged EXIF data: its orientation is not known, read as it lies" if orientation is None else None,
        said,
    ]
    return Picture(image, tuple(note for note in notes if note))


def _require_photograph(opened: Image.Image, source: IO[bytes]) -> None:
    """Raise ValueError or DecompressionBombError for what would take too much memory or time to decode."""
    width, height = opened.size
    if min(width, height) == 0:
        raise ValueError(f"{width} x {height} pixels: holds no picture")
    if width * height > MOST_PIXELS:
        raise Image.DecompressionBombError(
            f"{width} x {height} pixels, where {MOST_PIXELS:,} at most are read"
        )
    if max(width, height) > MOST_ELONGATED * min(width, height):
        raise ValueError(f"{width} x {height} pixels: one side is over {MOST_ELONGATED} times the other")
    if opened.format in ("JPEG", "MPO"):
        scans = _count_scans(source)
        if scans * width * height > _MOST_SCANNED:
            raise ValueError(f"a JPEG of {scans} scans over {width} x {height} pixels")


def _count_scans(source: IO[bytes]) -> int:
    """Times that the mark of a scan stands in a file, those of its previews and other views included."""
    at = source.tell()
    source.seek(0)
    found, before = 0, b""
    while block := source.read(1 << 20):
        found += (before + block).count(_SCAN)
        before = block[-1:] if block.endswith(_SCAN[:1]) else b""
    source.seek(at)
    return found


def _holds_several(opened: Image.Image) -> bool:
    """Raises ValueError where the first picture is a small copy of the file's real one, as in cameras' raw files."""
    several = bool(getattr(opened, "is_animated", False)) and opened.format not in _ONE_PICTURE
    if opened.tell():
        opened.seek(0)
    tags = getattr(opened, "tag_v2", {})
    if int(tags.get(_TIFF_KIND, 0)) & 1 and (several or _TIFF_INNER in tags):
        raise ValueError("its first picture is a preview of another one, as in a camera's raw file")
    return several


def _orientation(opened: Image.Image) -> int | None:
    """EXIF's orientation, 1 where there is none; None where the data is damaged so that it cannot be told."""
    try:
        return int(opened.getexif().get(_ORIENTATION, 1))
    except Exception:  # Pillow fails in many types on what cameras and editors write
        return None


def reason(error: BaseException) -> str:
    """Why an image was skipped, on one line."""
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"too large to be a photograph: {error}"
    if isinstance(error, MemoryError):
        return "too large for this machine's memory"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _not_an_image(source: IO[bytes]) -> str:
    source.seek(0)
    start = source.read(160)
    for offset, signature, name in _SIGNATURES:
        if start[offset:].startswith(signature):
            return f"a {name} file that is damaged, or of a kind that is not read: save it as PNG"
    return "not an image, or an empty one"


def blank() -> Image.Image:
    """A grey image, to find out the shapes that a preprocessing and a network make."""
    return Image.new("RGB", (256, 256), (127, 127, 127))
