"""A workspace of drawn activations, as `cmon extract` writes them, and drawn vectors in place of CLIP's."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch

from cmon.clip.features import Features
from cmon.workspace import schemas
from cmon.workspace.files import digest
from cmon.workspace.workspace import Workspace
from scripts.bench.scoring_job import Job


class DrawnFeatures(Features):
    """Vectors that are there already, as they are from the second scoring on."""

    def __init__(self, job: Job) -> None:
        self.spec, self.precision, self.identity = "drawn", "fp32", digest("drawn", job.images, job.concepts)
        self.images_of, self.texts_of = job.vectors()

    def image_vectors(self, progress: object) -> torch.Tensor:
        return self.images_of

    def concept_vectors(self, names: object, templates: object = ()) -> torch.Tensor:
        return self.texts_of


def write_images(place: Workspace, count: int) -> str:
    rows = [{"image_id": number, "path": f"/{number}.png", "status": "ok"} for number in range(count)]
    place.write(place.table("images"), pa.Table.from_pylist(rows, schema=schemas.IMAGES), "drawn")
    return "drawn"


def write_epoch(place: Workspace, epoch: int, activations: np.ndarray) -> dict[str, object]:
    """One activation file; gives its row of the table `shards`."""
    origin = digest("drawn", epoch)
    columns = [pa.array(range(len(activations)), pa.int32()), schemas.vectors(activations)]
    table = pa.Table.from_arrays(columns, schema=schemas.activations(activations.shape[1]))
    path = place.activations("run", "layer", float(epoch))
    place.write(path, table, origin, {}, {"images": "drawn"})
    return {
        "run": "run", "layer": "layer", "epoch": float(epoch), "units": activations.shape[1], "axes": "flat",
        "pooling": "avg", "origin": origin,
    }  # fmt: skip
