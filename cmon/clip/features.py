"""CLIP's vectors of the probe images and of texts: computed once, and kept in the workspace's cache.

The cache knows an image by the hash of its file, and a text by itself: what is added is embedded alone, copies are
embedded once, and a text or an image that is not asked for any more may be asked for again. Nothing is removed: the
vectors of an image are a few kilobytes, and the whole folder can be deleted at any time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from cmon.clip import embedders, own
from cmon.clip.parts import Known, Parts
from cmon.errors import CmonError
from cmon.images import decoding, preprocessing
from cmon.images import files as images
from cmon.progress import Progress
from cmon.workspace import schemas
from cmon.workspace.files import digest, file_digest
from cmon.workspace.stored_paths import fetch_images, find_image
from cmon.workspace.workspace import Workspace

logger = logging.getLogger(__name__)

_TEXTS_AT_A_TIME = 256


class Features:
    """Vectors of images and texts by one `--clip`; the model is loaded only when something is missing."""

    def __init__(
        self,
        workspace: Workspace,
        spec: str,
        device: str,
        precision: str,
        batch_size: int,
        workers: int,
        images: Path | None = None,
    ) -> None:
        self.workspace, self.spec, self.device, self.precision = workspace, spec, device, precision
        self.batch_size, self.workers, self.images = batch_size, workers, images
        self._memory = workspace.cache / f"embedder-{digest(spec)[:16]}.json"
        self._model = embedders.identity(spec, self._memory)
        self.identity = digest(self._model, precision, schemas.VERSION)
        self._image_parts = self._parts(
            "image", schemas.image_features, digest(self.identity, decoding.RULES)
        )
        self._text_parts = self._parts("text", schemas.text_features, self.identity)

    def _parts(self, kind: str, schema: Callable[[int], pa.Schema], origin: str) -> Parts:
        folder = self.workspace.cache / f"{kind}-features-{origin[:16]}"
        return Parts(self.workspace, folder, schema, origin, {"clip": self.spec})

    @cached_property
    def embedder(self) -> embedders.Embedder:
        """Raises CmonError when it cannot be loaded, or is not the one that `identity` stands for."""
        loaded = embedders.load(self.spec, self.device, self.precision)
        if self.spec.startswith("python:") and embedders.identity(self.spec) != self._model:
            own.forget(self._memory)
            raise CmonError(
                f"--clip {self.spec}: its embedder has another name than at an earlier run",
                expected="the name that its module gives it as plain text",
                found=loaded.name,
                hint="run the command again: it is taken for another embedder then",
            )
        return loaded

    def image_vectors(self, progress: Progress) -> Tensor:
        """(N,D) float32 unit vectors of the images that `extract` could read, in its order.

        Raises CmonError when an image that must be embedded has changed or vanished since then.
        """
        rows = [row for row in self.workspace.read("images").to_pylist() if row["status"] == "ok"]
        hashes = [row["sha256"] for row in rows]
        known = self._image_parts.read()
        if missing := known.missing(hashes):
            of_hash: dict[str, list[dict[str, Any]]] = {}
            for row in rows:
                of_hash.setdefault(row["sha256"], []).append(row)
            fetch_images([row for sha256 in missing for row in of_hash[sha256]], self.images, progress)
            self._embed_images([self._file(of_hash[sha256]) for sha256 in missing], known, progress)
            known = self._image_parts.read()
        return torch.from_numpy(schemas.matrix(_rows(known, hashes, self._image_parts)["vector"]))

    def concept_vectors(self, names: Sequence[str], templates: Sequence[str] = ()) -> Tensor:
        """(C,D) float32 unit vectors of the names, inserted at the `{}` of every template.

        Of several templates it is the direction of the mean of their unit vectors, as CLIP ensembles the prompts
        of a class (Radford et al. 2021, arXiv 2103.00020, section 3.1.4). Without templates, of the names alone.
        """
        if not templates:
            return self.text_vectors(names)
        texts = [template.replace("{}", name) for template in templates for name in names]
        vectors = self.text_vectors(texts).view(len(templates), len(names), -1)
        return torch.nn.functional.normalize(vectors.mean(dim=0), dim=1)

    def text_vectors(self, texts: Sequence[str]) -> Tensor:
        """(C,D) float32 unit vectors; only new texts go through the model.

        Warns of texts that are longer than what the model reads.
        """
        known = self._text_parts.read()
        if missing := known.missing(texts):
            self._embed_texts(missing, known)
            known = self._text_parts.read()
        rows = _rows(known, texts, self._text_parts)
        _warn_of_truncated(dict(zip(texts, rows["cut_after"].to_pylist(), strict=True)))
        return torch.from_numpy(schemas.matrix(rows["vector"]))

    def _file(self, rows: Sequence[dict[str, Any]]) -> images.ImageFile:
        """The file of rows that have one content: the first that still has it, or else the first."""
        files = [
            images.ImageFile(
                find_image(row, self.workspace.root, self.images), row["path"], row["sha256"], None
            )
            for row in rows
        ]
        return (
            files[0] if len(files) == 1 else next((file for file in files if _is_as_it_was(file)), files[0])
        )

    def _embed_images(self, files: list[images.ImageFile], known: Known, progress: Progress) -> None:
        shape = embedders.prepared_shape(self.embedder)
        preprocess = preprocessing.CustomPreprocess(self.embedder.preprocess)
        decoded = preprocessing.decode_all(files, preprocess, self.workers)
        earlier = self._earlier_widths(known, self._text_parts)
        batch: list[Tensor] = []
        with self._image_parts.growing() as add:
            for position, array, error, _ in progress(
                decoded, "embedding probe images with CLIP", len(files)
            ):
                file = files[position]
                if array is None or not _is_as_it_was(file):
                    raise self._not_embedded(file, error)
                if array.shape != shape:
                    raise CmonError(
                        f"--clip {self.spec}: its preprocess makes pictures of several sizes",
                        expected=f"shape {shape} of every image, as of the first",
                        found=f"{array.shape} of {file.path}",
                        hint="have it resize and crop every image to one size",
                    )
                batch.append(torch.from_numpy(array))
                if len(batch) == self.batch_size or position == len(files) - 1:
                    some = files[position + 1 - len(batch) : position + 1]
                    vectors = embedders.image_features(
                        self.embedder, torch.stack(batch), [str(file.path) for file in some]
                    )
                    self._require_width(vectors.shape[1], earlier)
                    keys = pa.array([file.sha256 for file in some], pa.string())
                    columns = [keys, schemas.vectors(vectors.numpy())]
                    add(pa.Table.from_arrays(columns, schema=schemas.image_features(vectors.shape[1])))
                    batch = []

    def _embed_texts(self, texts: list[str], known: Known) -> None:
        earlier = self._earlier_widths(known, self._image_parts)
        with self._text_parts.growing() as add:
            for start in range(0, len(texts), _TEXTS_AT_A_TIME):
                some = texts[start : start + _TEXTS_AT_A_TIME]
                vectors = embedders.text_features(self.embedder, some)
                self._require_width(vectors.shape[1], earlier)
                cut = pa.array(embedders.truncated_lengths(self.embedder, some), pa.int32())
                columns = [pa.array(some, pa.string()), cut, schemas.vectors(vectors.numpy())]
                add(pa.Table.from_arrays(columns, schema=schemas.text_features(vectors.shape[1])))

    def _earlier_widths(self, known: Known, others: Parts) -> dict[str, int]:
        """How long vectors have been: those of the same kind, and those that they will be compared with."""
        widths = {
            "those of the same kind before": known.width,
            "those of texts and images together": others.width(),
        }
        return {whose: width for whose, width in widths.items() if width is not None}

    def _require_width(self, width: int, earlier: dict[str, int]) -> None:
        for whose, wanted in earlier.items():
            if wanted != width:
                raise CmonError(
                    f"--clip {self.spec}: gave vectors of several lengths",
                    expected=f"{wanted} numbers in a vector, as in {whose}",
                    found=f"{width}",
                    hint="images and texts need one space; if the embedder has changed, give it another name, or "
                    f"delete {self.workspace.cache}",
                )

    def _not_embedded(self, file: images.ImageFile, error: str | None) -> CmonError:
        if _is_as_it_was(file):
            return CmonError(
                f"{file.path}: could not be prepared for --clip {self.spec}",
                expected="an image that the embedder's preprocess takes",
                found=error,
                hint="call its preprocess on this image in Python to see where",
            )
        return CmonError(
            f"{file.path}: is not there as it was",
            expected="the image that `cmon extract` read",
            found=error or "other content than then",
            hint="give the folder where the images are now with --images; if they have changed, run "
            "`cmon extract` again",
        )


def _rows(known: Known, keys: Sequence[str], parts: Parts) -> pa.Table:
    if known.missing(keys):
        raise CmonError(
            f"{parts.folder}: its files were removed while they were read",
            expected="no other program that deletes files there",
            hint="run the command again",
        )
    return known.rows(keys)


def _is_as_it_was(file: images.ImageFile) -> bool:
    try:
        return file_digest(file.path) == file.sha256
    except OSError:
        return False


def _warn_of_truncated(texts: dict[str, int | None]) -> None:
    cut = [text for text, after in texts.items() if after]
    if cut:
        shown = ", ".join(repr(text if len(text) <= 60 else f"{text[:57]}...") for text in cut[:3])
        logger.warning(
            "CLIP reads %d tokens of a text, and %d of %d texts are longer: only their beginnings count: %s%s",
            next(after for after in texts.values() if after),
            len(cut),
            len(texts),
            shown,
            " ..." if len(cut) > 3 else "",
        )
