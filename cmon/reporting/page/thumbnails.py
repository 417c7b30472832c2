"""Small pictures of probe images, for the figures and the page."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from PIL import Image, ImageOps

from cmon.images.decoding import MOST_BYTES, bombs_refused, reason, upright
from cmon.progress import Progress, silent
from cmon.regular_files import read_regular

Files = Mapping[int, tuple[Path, str | None]]
"""image_id to path and SHA-256 of the bytes that were scored."""
SIZE = 96
"""Pixels a side on the page: twice what most screens give it."""
QUALITY = 70
"""Of WebP, up to 100."""
FOLDER = "thumbnails"
_Kind = TypeVar("_Kind")


def read_pictures(
    files: Files, size: int, progress: Progress = silent
) -> tuple[dict[int, Image.Image], dict[int, str]]:
    """Square RGB pictures of `size` pixels, cut from the middle as a network's input is.

    Returns image_id to picture, and image_id to reason for those that cannot be shown: a file that changed
    since is not the image that activated the unit.
    """
    return _read_all(files, lambda data, _: _cut(data, size), progress, "reading top images")


def read_thumbnails(
    files: Files, progress: Progress = silent, known: Mapping[str, bytes] = MappingProxyType({})
) -> tuple[dict[int, bytes], dict[int, str]]:
    """The same as `read_pictures`, but as WebP files of SIZE pixels. known: what this gave before, by the SHA-256."""

    def thumbnail(data: bytes, sha256: str | None) -> bytes:
        kept = known.get(sha256) if sha256 else None
        return _webp(_cut(data, SIZE)) if kept is None else kept

    return _read_all(files, thumbnail, progress, "reading thumbnails")


def css_classes(uris: Mapping[int, str]) -> str:
    """One class for each picture, so that the page holds each once however often it is shown."""
    return "".join(f'.t{image}{{background-image:url("{uri}")}}\n' for image, uri in uris.items())


def data_uris(pictures: Mapping[int, bytes]) -> dict[int, str]:
    """The pictures themselves as URIs."""
    return {
        image: "data:image/webp;base64," + base64.b64encode(data).decode() for image, data in pictures.items()
    }


def file_names(pictures: Iterable[int]) -> list[str]:
    """Of their files."""
    return [f"{image}.webp" for image in pictures]


def file_uris(pictures: Mapping[int, bytes]) -> dict[int, str]:
    """Their files in FOLDER beside the page, as links."""
    return {image: f"{FOLDER}/{name}" for image, name in zip(pictures, file_names(pictures), strict=True)}


def _read_all(
    files: Files, convert: Callable[[bytes, str | None], _Kind], progress: Progress, task: str
) -> tuple[dict[int, _Kind], dict[int, str]]:
    def one(image_id: int) -> tuple[int, _Kind | None, str]:
        try:
            path, sha256 = files[image_id]
            return image_id, convert(_bytes(path, sha256), sha256), ""
        except Exception as error:  # an image library can fail in any way on a broken file
            return image_id, None, _reason(error)

    found: dict[int, _Kind] = {}
    missing: dict[int, str] = {}
    # Decoding, scaling and hashing leave Python's lock to others.
    with bombs_refused(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for image_id, picture, why in progress(pool.map(one, files), task, len(files)):
            if picture is None:
                missing[image_id] = why
            else:
                found[image_id] = picture
    return found, missing


class _Changed(Exception):
    """The file's bytes are not those that were scored."""


def _bytes(path: Path, sha256: str | None) -> bytes:
    data = read_regular(path, MOST_BYTES)
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise _Changed
    return data


def _cut(data: bytes, size: int) -> Image.Image:
    # Scaling from twice the size is as good as from the original, and a JPEG gives it in a fraction of the time.
    picture = upright(io.BytesIO(data), enough=2 * size)
    return ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)


def _reason(error: Exception) -> str:
    if isinstance(error, _Changed):
        return "changed since it was extracted"
    return "no longer there" if isinstance(error, FileNotFoundError) else reason(error)


def _webp(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=QUALITY, method=2)  # more effort: twice as slow, 4 % smaller
    return buffer.getvalue()
