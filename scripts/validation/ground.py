"""What all measurements stand on: probe images whose concepts are known, a trained network's units, planted units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cmon.clip import embedders
from cmon.clip.features import Features
from cmon.evaluation import agreement
from cmon.evaluation.annotations import look_up, read
from cmon.scoring import labelling, significance
from cmon.scoring.block_scores import Method
from cmon.scoring.labelling import Labels
from cmon.scoring.priors import PRIORS, Chance, PriorInputs, log_mean_exp
from cmon.scoring.pseudo_units import random_orders
from cmon.scoring.similarity.base import Similarity
from cmon.scoring.similarity.wpmi import SoftWPMI
from cmon.top_k import top_k
from cmon.workspace import schemas
from cmon.workspace.table_files import read_table
from cmon.workspace.workspace import Workspace

KEPT = 50
"""Concepts kept per unit: more than cmon keeps, since one question is whether more would be better."""
PSEUDO_UNITS = 4096
"""cmon's default."""
SOFT = SoftWPMI()


@dataclass(frozen=True)
class Ground:
    """N probe images in the stage's own shuffled order, and C concepts."""

    workspace: Workspace
    rows: np.ndarray
    """(N,) which rows of an activations table the images are."""
    images: Tensor
    """(N,D) unit vectors."""
    texts: Tensor
    """(C,D) unit vectors."""
    names: list[str]
    categories: np.ndarray
    present: np.ndarray
    """(N,C) bool: the truth."""
    features: Features

    @classmethod
    def of(cls, workspace: Workspace, truth: Path) -> Ground:
        """Of a workspace that has been scored; only the images that the truth tells of."""
        vocabulary = workspace.read("vocabulary")
        parameters = workspace.parameters("vocabulary")
        probe = [row["path"] for row in workspace.read("images").to_pylist() if row["status"] == "ok"]
        names = vocabulary["concept"].to_pylist()
        found = look_up(read(truth), probe, names)
        features = Features(workspace, parameters["clip"], "cpu", parameters["precision"], 64, workers=0)
        order = torch.randperm(
            len(probe), generator=torch.Generator().manual_seed(parameters["seed"])
        ).numpy()
        rows = order[found.known[order]]
        return cls(
            workspace,
            rows,
            features.image_vectors(lambda items, *_: items)[torch.from_numpy(rows)],
            torch.from_numpy(schemas.matrix(vocabulary["vector"])),
            names,
            np.array(vocabulary["category"].to_pylist()),
            found.present[rows],
            features,
        )

    @cached_property
    def same(self) -> np.ndarray:
        """(C,C) bool: the same images show both, so that nobody can say which of the two a unit detects."""
        return (self.present[:, :, None] == self.present[:, None, :]).all(axis=0)

    @cached_property
    def similarities(self) -> np.ndarray:
        """(N,C) CLIP's cosines, each concept's with mean 0 and standard deviation 1 over the images."""
        cosines = (self.images @ self.texts.T).double().numpy()
        return (cosines - cosines.mean(axis=0)) / cosines.std(axis=0)

    def epochs(self, run: str) -> dict[str, list[float]]:
        """The run's layers, each with its epochs."""
        found: dict[str, list[float]] = {}
        for shard in self.workspace.read("shards").to_pylist():
            if shard["run"] == run:
                found.setdefault(shard["layer"], []).append(shard["epoch"])
        return found

    def activations(self, run: str, layer: str, epoch: float) -> np.ndarray:
        """(N,K) of the units that are finite and vary."""
        table = read_table(self.workspace.activations(run, layer, epoch))
        activations = schemas.matrix(table["activations"])[self.rows]
        return activations[:, np.isfinite(activations).all(axis=0) & (np.ptp(activations, axis=0) > 0)]

    def planted(self, signal: np.ndarray, noise: float, seed: int) -> np.ndarray:
        """(N,K) signal with Gaussian noise of that standard deviation: of presence 0 or 1, or of deviation 1."""
        return signal + noise * np.random.default_rng(seed).normal(size=signal.shape)

    def without(self, concepts: np.ndarray) -> Ground:
        """Only the images that show none of these."""
        kept = ~self.present[:, concepts].any(axis=1)
        return replace(
            self, rows=self.rows[kept], images=self.images[torch.from_numpy(kept)], present=self.present[kept]
        )

    def with_words(self, words: Sequence[str]) -> Ground:
        """With further concepts, which no image shows."""
        vectors = embedders.text_features(self.features.embedder, words)
        nothing = np.zeros((len(self.present), len(words)), dtype=bool)
        return replace(
            self,
            texts=torch.cat([self.texts, vectors]),
            names=[*self.names, *words],
            categories=np.append(self.categories, ["stranger"] * len(words)),
            present=np.hstack([self.present, nothing]),
        )

    def measured(self, activations: np.ndarray) -> dict[str, np.ndarray]:
        """Every measure of `agreement` for every concept, (K,C); -1 for a concept that no image shows."""
        shown = np.logical_and(self.present.any(axis=0), np.logical_not(self.present.all(axis=0)))
        found = agreement.measure_detection(activations, self.present[:, shown])
        tables = {name: np.full((activations.shape[1], len(shown)), -1.0) for name in found}
        for name, values in found.items():
            tables[name][:, shown] = values
        return tables


def labelled(
    ground: Ground,
    function: Similarity,
    prior: str,
    layers: Sequence[np.ndarray],
    count: int | None = None,
    seed: int = 0,
) -> list[Labels]:
    """As `cmon score` labels the units of some layers, (N,K) each. count: of pseudo-units, else PSEUDO_UNITS."""
    method = Method(function, PRIORS[prior], count or PSEUDO_UNITS, seed, KEPT)
    kept = []
    for activations in layers:
        columns = torch.from_numpy(np.ascontiguousarray(activations, dtype=np.float32))
        top = top_k(columns.T, function.top_images(len(ground.images)) or 1).indices
        kept.append(labelling.keep_layer(method, ground.images, columns, top))
    return labelling.label(method, ground.images, ground.texts, kept)


def passing(scores: np.ndarray, null: np.ndarray, fdr: float = 0.05) -> np.ndarray:
    """Which units are interpretable: (K,) best scores and (M,) the null's, to (K,) bool."""
    return significance.discoveries(significance.p_values(scores, null), fdr)


CANDIDATES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "log mean exp": lambda null, evidence: evidence - log_mean_exp(null),
    "sqrt of sd": lambda null, evidence: (evidence - null.mean(dim=0)) / null.std(dim=0).sqrt(),
}
"""Priors that the package does not offer, from (M,C) evidence of random image orders and (K,C) of units to scores."""


def scored(prior: str, null: Tensor, evidence: Tensor) -> Tensor:
    """(K,C) scores by a prior of the package that needs only random image orders, or by a candidate."""
    if prior in CANDIDATES:
        return CANDIDATES[prior](null, evidence)
    inputs = PriorInputs(chance=lambda: Chance.estimate(null), layer_prior=lambda: log_mean_exp(evidence))
    return PRIORS[prior].baseline(inputs).score(evidence)


class Evidence:
    """soft-WPMI's evidence itself, for what the package does not offer. For concepts that fit into one block."""

    def __init__(self, ground: Ground, function: SoftWPMI = SOFT) -> None:
        ((_, make),) = function.blocks(ground.images, ground.texts)
        self.images, self.block, self.function = ground.images, make(), function

    def of(self, activations: np.ndarray) -> Tensor:
        """(N,K) to (K,C)."""
        columns = torch.from_numpy(np.ascontiguousarray(activations, dtype=np.float32))
        return self.function.evidence(self.block, self.function.units(self.images, columns))

    def of_orders(self, count: int | None, seed: int) -> Tensor:
        """(count,C) of random image orders, or of PSEUDO_UNITS."""
        orders = random_orders(
            len(self.images), count or PSEUDO_UNITS, self.function.top_images(len(self.images)), seed
        )
        return self.function.evidence(self.block, (orders,))
