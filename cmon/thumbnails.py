"""Small pictures of probe images, for figures and the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from cmon import images
from cmon.store import file_digest


def load(
    files: Mapping[int, tuple[Path, str | None]],
    size: int,
    progress: Callable[..., Iterable[Any]] = lambda items, *_: items,
) -> tuple[dict[int, Image.Image], dict[int, str]]:
    """Square RGB pictures of `size` pixels, cut from the middle as a network's input is.

    files: image_id to path and SHA-256 of the bytes that were scored. Returns image_id to picture, and
    image_id to reason for those that cannot be shown: a file that changed since is not the image that
    activated the unit.
    """
    pictures: dict[int, Image.Image] = {}
    missing: dict[int, str] = {}
    for image_id, (path, sha256) in progress(files.items(), "reading thumbnails", len(files)):
        try:
            if sha256 and file_digest(path) != sha256:
                missing[image_id] = "changed since it was extracted"
                continue
            pictures[image_id] = ImageOps.fit(images.decode(path), (size, size), Image.Resampling.LANCZOS)
        except Exception as error:  # an image library can fail in any way on a broken file
            missing[image_id] = (
                "no longer there" if isinstance(error, FileNotFoundError) else images.reason(error)
            )
    return pictures, missing


def data_uri(picture: Image.Image, size: int) -> str:
    """The picture as a JPEG of at most `size` pixels a side, inside a URI."""
    buffer = io.BytesIO()
    if picture.width > size:
        picture = picture.resize((size, size), Image.Resampling.LANCZOS)
    picture.save(buffer, "JPEG", quality=82, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
