"""CLIP's vectors of the probe images and of texts, computed once per content and kept in the workspace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from cmon import clip, images, preprocessing, schemas
from cmon.errors import CmonError
from cmon.store import Workspace, digest, file_digest, is_fresh, read_table


class Features:
    """The two kinds of vectors of one `--clip`; the model is loaded only when something is missing."""

    def __init__(
        self, workspace: Workspace, spec: str, device: str, precision: str, batch_size: int, workers: int
    ) -> None:
        self.workspace, self.spec, self.device, self.precision = workspace, spec, device, precision
        self.batch_size, self.workers = batch_size, workers
        self.identity = digest(clip.identity(spec), precision, schemas.VERSION)

    @cached_property
    def embedder(self) -> clip.Embedder:
        return clip.load(self.spec, self.device, self.precision)

    def of_images(self, progress: Callable[..., Iterable[Any]]) -> Tensor:
        """(N,D) float32 unit vectors of the images that `extract` could read, in its order.

        Raises CmonError when an image has changed or vanished since then.
        """
        rows = [row for row in self.workspace.read("images").to_pylist() if row["status"] == "ok"]
        key = digest(self.identity, [row["sha256"] for row in rows])
        path = self.workspace.cache / f"image-features-{self.identity[:16]}.parquet"
        if not is_fresh(path, key):
            parts: list[Tensor] = []
            batch: list[Tensor] = []
            files = [images.ImageFile(Path(row["path"]), row["path"], row["sha256"], None) for row in rows]
            preprocess = preprocessing.CustomPreprocess(self.embedder.preprocess)
            decoded = preprocessing.decode_all(files, preprocess, self.workers)
            for position, array, error in progress(decoded, "embedding probe images with CLIP", len(files)):
                if array is not None and file_digest(files[position].path) != files[position].sha256:
                    array, error = None, "other content than then"
                if array is None:
                    raise CmonError(
                        f"{files[position].path}: is not there as it was",
                        expected="the image that `cmon extract` read",
                        found=error,
                        hint="run `cmon extract` again",
                    )
                batch.append(torch.from_numpy(array))
                if len(batch) == self.batch_size or position == len(files) - 1:
                    parts.append(clip.image_features(self.embedder, torch.stack(batch)))
                    batch = []
            vectors = torch.cat(parts).numpy()
            schema = schemas.image_features(vectors.shape[1])
            ids = pa.array([row["image_id"] for row in rows], pa.int32())
            table = pa.Table.from_arrays([ids, schemas.vectors(vectors)], schema=schema)
            self.workspace.write(path, table, key, {"clip": self.spec})
        return torch.from_numpy(schemas.matrix(read_table(path)["vector"]))

    def of_texts(self, texts: Sequence[str]) -> Tensor:
        """(C,D) float32 unit vectors; only texts never seen before go through the model."""
        path = self.workspace.cache / f"text-features-{self.identity[:16]}.parquet"
        known: dict[str, np.ndarray] = {}
        if is_fresh(path, self.identity):
            table = read_table(path)
            known = dict(zip(table["text"].to_pylist(), schemas.matrix(table["vector"]), strict=True))
        if missing := [text for text in dict.fromkeys(texts) if text not in known]:
            known |= zip(missing, clip.text_features(self.embedder, missing).numpy(), strict=True)
            vectors = np.stack(list(known.values()))
            schema = schemas.text_features(vectors.shape[1])
            table = pa.Table.from_arrays([pa.array(list(known)), schemas.vectors(vectors)], schema=schema)
            self.workspace.write(path, table, self.identity, {"clip": self.spec})
        return torch.from_numpy(np.stack([known[text] for text in texts]))
