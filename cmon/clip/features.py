"""CLIP's vectors of the probe images and of texts: computed once, and kept in the workspace's cache."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from cmon.clip import embedders
from cmon.errors import CmonError
from cmon.images import decoding, preprocessing
from cmon.images import files as images
from cmon.progress import Progress
from cmon.workspace import schemas
from cmon.workspace.files import digest, file_digest
from cmon.workspace.stored_paths import find_image
from cmon.workspace.workspace import Workspace, is_fresh, read_table

logger = logging.getLogger(__name__)


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
        self.identity = digest(embedders.identity(spec), precision, schemas.VERSION)

    @cached_property
    def embedder(self) -> embedders.Embedder:
        return embedders.load(self.spec, self.device, self.precision)

    def image_vectors(self, progress: Progress) -> Tensor:
        """(N,D) float32 unit vectors of the images that `extract` could read, in its order.

        Raises CmonError when an image has changed or vanished since then.
        """
        rows = [row for row in self.workspace.read("images").to_pylist() if row["status"] == "ok"]
        origin = digest(self.identity, [row["sha256"] for row in rows], decoding.RULES)
        path = self.workspace.cache / f"image-features-{self.identity[:16]}.parquet"
        if not is_fresh(path, origin):
            parts: list[Tensor] = []
            batch: list[Tensor] = []
            places = [find_image(row, self.workspace.root, self.images) for row in rows]
            files = [
                images.ImageFile(place, row["path"], row["sha256"], None)
                for place, row in zip(places, rows, strict=True)
            ]
            preprocess = preprocessing.CustomPreprocess(self.embedder.preprocess)
            decoded = preprocessing.decode_all(files, preprocess, self.workers)
            for position, array, error, _ in progress(
                decoded, "embedding probe images with CLIP", len(files)
            ):
                if array is not None and file_digest(files[position].path) != files[position].sha256:
                    array, error = None, "other content than then"
                if array is None:
                    raise CmonError(
                        f"{files[position].path}: is not there as it was",
                        expected="the image that `cmon extract` read",
                        found=error,
                        hint="give the folder where the images are now with --images; if they have changed, run "
                        "`cmon extract` again",
                    )
                batch.append(torch.from_numpy(array))
                if len(batch) == self.batch_size or position == len(files) - 1:
                    parts.append(embedders.image_features(self.embedder, torch.stack(batch)))
                    batch = []
            vectors = torch.cat(parts).numpy()
            schema = schemas.image_features(vectors.shape[1])
            ids = pa.array([row["image_id"] for row in rows], pa.int32())
            table = pa.Table.from_arrays([ids, schemas.vectors(vectors)], schema=schema)
            self.workspace.write(path, table, origin, {"clip": self.spec})
        return torch.from_numpy(schemas.matrix(read_table(path)["vector"]))

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
        path = self.workspace.cache / f"text-features-{self.identity[:16]}.parquet"
        origin = digest(self.identity, schemas.text_features(0).names)
        known: dict[str, tuple[np.ndarray, int | None]] = {}
        if is_fresh(path, origin):
            table = read_table(path)
            rows = zip(schemas.matrix(table["vector"]), table["cut_after"].to_pylist(), strict=True)
            known = dict(zip(table["text"].to_pylist(), rows, strict=True))
        if missing := [text for text in dict.fromkeys(texts) if text not in known]:
            cut = embedders.truncated_lengths(self.embedder, missing)
            new = zip(embedders.text_features(self.embedder, missing).numpy(), cut, strict=True)
            known |= zip(missing, new, strict=True)
            vectors = np.stack([vector for vector, _ in known.values()])
            columns = [
                pa.array(list(known)),
                pa.array([after for _, after in known.values()], pa.int32()),
                schemas.vectors(vectors),
            ]
            table = pa.Table.from_arrays(columns, schema=schemas.text_features(vectors.shape[1]))
            self.workspace.write(path, table, origin, {"clip": self.spec})
        _warn_of_truncated({text: known[text][1] for text in texts})
        return torch.from_numpy(np.stack([known[text][0] for text in texts]))


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
