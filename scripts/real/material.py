"""What the trial's measurements stand on: a scored workspace's images, concepts, and the units of its networks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cmon.clip.features import Features
from cmon.concepts import folded
from cmon.evaluation.annotations import look_up, read
from cmon.workspace import schemas
from cmon.workspace.table_files import read_table
from cmon.workspace.workspace import Workspace

_SEED = re.compile(r"-\d+$")


@dataclass(frozen=True)
class Material:
    """N probe images in a random order, and C concepts, of one workspace."""

    workspace: Workspace
    rows: np.ndarray
    """(N,) which rows of an activations table the images are."""
    images: Tensor
    """(N,D) unit vectors."""
    texts: Tensor
    """(C,D) unit vectors."""
    names: list[str]
    categories: np.ndarray
    present: np.ndarray | None
    """(N,C) bool: which image shows which concept; None where that is not known."""
    classes: list[str] | None
    """The names of the head's units; None where they are not known."""
    class_vectors: np.ndarray | None
    """(U,D) their unit vectors."""

    @classmethod
    def of(cls, folder: Path, truth: Path | None, class_names: Path | None) -> Material:
        """Of a workspace that has been scored, with all images or those that the truth tells of."""
        workspace = Workspace(folder)
        vocabulary = workspace.read("vocabulary")
        parameters = workspace.parameters("vocabulary")
        names = vocabulary["concept"].to_pylist()
        probe = [row["path"] for row in workspace.read("images").to_pylist() if row["status"] == "ok"]
        order = np.random.default_rng(parameters["seed"]).permutation(len(probe))
        present = None
        if truth is not None:
            found = look_up(read(truth), probe, names)
            order = order[found.known[order]]
            present = found.present[order]
        features = Features(workspace, parameters["clip"], "cpu", parameters["precision"], 64, workers=0)
        images = features.image_vectors(lambda items, *_: items)[torch.from_numpy(order)]
        classes = class_names.read_text().split("\n")[:-1] if class_names is not None else None
        vectors = features.concept_vectors(classes, parameters["templates"]).numpy() if classes else None
        texts = torch.from_numpy(schemas.matrix(vocabulary["vector"]))
        categories = np.array(vocabulary["category"].to_pylist())
        return cls(workspace, order, images, texts, names, categories, present, classes, vectors)

    @property
    def class_concepts(self) -> np.ndarray:
        """(U,) position of each class among the concepts, -1 where it is none."""
        at = {folded(name): position for position, name in enumerate(self.names)}
        return np.array([at.get(folded(name), -1) for name in self.classes or ()])

    def epochs(self) -> dict[tuple[str, str], list[float]]:
        """Every run and layer with its epochs, rising."""
        found: dict[tuple[str, str], list[float]] = {}
        for shard in self.workspace.read("shards").to_pylist():
            found.setdefault((shard["run"], shard["layer"]), []).append(shard["epoch"])
        return {key: sorted(epochs) for key, epochs in found.items()}

    def activations(self, run: str, layer: str, epoch: float) -> tuple[np.ndarray, np.ndarray]:
        """(N,K) float32 of the units that are finite and vary, and (K,) which these are."""
        table = read_table(self.workspace.activations(run, layer, epoch))
        activations = schemas.matrix(table["activations"])[self.rows]
        varies = np.isfinite(activations).all(axis=0) & (np.ptp(activations, axis=0) > 0)
        units = np.flatnonzero(varies)
        return np.ascontiguousarray(activations[:, units], dtype=np.float32), units


def recipe(run: str) -> str:
    """The runs `poor`, `poor-1` and `poor-2` are one recipe's, with other seeds."""
    return _SEED.sub("", run)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """`0.50 (0.41 to 0.62)`: the mean over seeds, and the least and the largest; one value alone; '' for none."""
    known = [value for value in values if np.isfinite(value)]
    if not known:
        return ""
    text = f"{np.mean(known):.{digits}f}"
    return text if len(known) == 1 else f"{text} ({min(known):.{digits}f} to {max(known):.{digits}f})"
