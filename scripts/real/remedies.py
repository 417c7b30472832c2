"""What to do where one label takes most of a layer? Every remedy that was tried, beside what cmon does.

    python -m scripts.real.remedies WORKSPACE [--truth TRUTH] [--class-names NAMES]

WORKSPACE has been extracted and scored. Runs NAME, NAME-1, NAME-2 are one recipe with other seeds: the tables give
the mean over them, and the least and the largest. With TRUTH, the drawn world's, labels are right where they are the
concept that a unit is measured to detect best; with NAMES, the head's labels are held against its classes. Prints
Markdown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import click
import numpy as np
import torch
from rich.progress import track
from torch import Tensor
from torch.nn.functional import normalize

from cmon.evaluation.agreement import CLEAR
from cmon.evaluation.detection import correlation
from cmon.scoring import redundancy
from cmon.scoring.priors import PRIORS, Chance, PriorInputs, log_mean_exp
from cmon.scoring.pseudo_units import random_orders
from cmon.scoring.similarity.blocks import map_blocks
from cmon.scoring.similarity.wpmi import SoftWPMI
from cmon.top_k import top_k
from scripts.real.material import Material, recipe, spread

SOFT = SoftWPMI()
PSEUDO_UNITS = 4096
NEAREST = 10
"""Neighbours on either side that cross-domain local scaling looks at (Lample et al. 2018, arXiv 1710.04087)."""


def nothing(activations: np.ndarray) -> np.ndarray:
    return activations


def without_mean(activations: np.ndarray) -> np.ndarray:
    """(N,K) each unit with mean 0 and deviation 1, less the mean over all units of that image."""
    units = _standardized(activations)
    return units - units.mean(axis=1, keepdims=True)


def without_components(count: int) -> Callable[[np.ndarray], np.ndarray]:
    """Each unit with mean 0 and deviation 1, less its projection on the layer's first principal components."""

    def removed(activations: np.ndarray) -> np.ndarray:
        units = _standardized(activations)
        _, axes = np.linalg.eigh(units.T @ units)
        largest = axes[:, -count:]
        return units - units @ largest @ largest.T

    return removed


def _standardized(activations: np.ndarray) -> np.ndarray:
    activations = activations.astype(np.float64)
    return (activations - activations.mean(axis=0)) / activations.std(axis=0)


@dataclass(frozen=True)
class Space:
    """Images and texts in one space, and what random image orders get in it."""

    images: Tensor
    texts: Tensor
    products: dict[str, Tensor] = field(default_factory=dict)
    """What soft_wpmi makes of all images and concepts, once it has."""

    @classmethod
    def centred(cls, images: Tensor, texts: Tensor) -> Space:
        """Either less its own mean, then of length 1 again: what all images share, and all words, is taken away."""
        return cls(normalize(images - images.mean(dim=0), dim=1), normalize(texts - texts.mean(dim=0), dim=1))

    def evidence(self, top: Tensor) -> Tensor:
        """(K,T) top images to (K,C): soft_wpmi's evidence."""
        blocks = SOFT.blocks(self.images, self.texts, self.products)
        found = map_blocks(lambda _, block: SOFT.evidence(block, (top,)), blocks, self.images.device)
        return torch.cat([part for _, part in found], dim=1)

    @cached_property
    def null(self) -> Tensor:
        return self.evidence(
            random_orders(len(self.images), PSEUDO_UNITS, SOFT.top_images(len(self.images)), 0)
        )


def by_prior(prior: str) -> Callable[[Tensor, Tensor], Tensor]:
    """(M,C) evidence of random orders and (K,C) of units to (K,C) scores, by one of cmon's priors."""

    def score(null: Tensor, evidence: Tensor) -> Tensor:
        inputs = PriorInputs(chance=lambda: Chance.estimate(null), layer_prior=lambda: log_mean_exp(evidence))
        return PRIORS[prior].baseline(inputs).score(evidence)

    return score


def local_scaling(null: Tensor, evidence: Tensor) -> Tensor:
    """Twice the z-score less the mean of the concept's NEAREST best z-scores in the layer.

    CSLS, whose third term, the unit's own best, is the same for all its concepts.
    """
    z = by_prior("standardized")(null, evidence)
    return 2 * z - z.topk(min(NEAREST, len(z)), dim=0).values.mean(dim=0)


NULL = by_prior("null")


@dataclass(frozen=True)
class Remedy:
    """A way to label."""

    name: str
    removed: Callable[[np.ndarray], np.ndarray] = nothing
    """What is taken from the activations before the images are ranked."""
    centred: bool = False
    score: Callable[[Tensor, Tensor], Tensor] = NULL


REMEDIES = (
    Remedy("as cmon does"),
    Remedy("centred features", centred=True),
    Remedy("the layer's mean removed", without_mean),
    Remedy("1 principal component removed", without_components(1)),
    Remedy("3 principal components removed", without_components(3)),
    Remedy("mean removed, centred features", without_mean, centred=True),
    Remedy("z-scores per concept", score=by_prior("standardized")),
    Remedy("z-scores, centred features", centred=True, score=by_prior("standardized")),
    Remedy("CSLS on z-scores", score=local_scaling),
    Remedy("CLIP-Dissect's layer prior", score=by_prior("layer")),
)


@dataclass(frozen=True)
class Found:
    """How one remedy labels one layer at one epoch."""

    overlap: float
    """Of the top images by which the units are labelled."""
    commonest: float
    """Share of the units that the most frequent label has."""
    labels: int
    """Different labels."""
    right: float
    """Share of the clear units whose label is what their activations detect best; NaN without truth."""
    right_apart: float
    """The same for what the activations detect once the layer's mean is removed."""
    top1: float
    """Share of the head's units whose label is their class; NaN for other layers."""
    top5: float
    cosine: float
    """Mean cosine of label and class name."""


def label(material: Material, spaces: dict[bool, Space], remedy: Remedy, activations: np.ndarray) -> Tensor:
    """(K,5) best concepts of the units."""
    space = spaces[remedy.centred]
    columns = torch.from_numpy(np.ascontiguousarray(remedy.removed(activations), dtype=np.float32))
    top = top_k(columns.T, SOFT.top_images(len(material.images))).indices
    return remedy.score(space.null, space.evidence(top)).topk(5, dim=1).indices


def measure(
    material: Material,
    spaces: dict[bool, Space],
    remedy: Remedy,
    activations: np.ndarray,
    units: np.ndarray,
    head: bool,
) -> Found:
    top = label(material, spaces, remedy, activations).numpy()
    counts = np.bincount(top[:, 0])
    columns = torch.from_numpy(np.ascontiguousarray(remedy.removed(activations), dtype=np.float32))
    compared = top_k(columns.T, redundancy.compared_images(len(columns))).indices.numpy()
    top1 = top5 = cosine = float("nan")
    if head and material.class_vectors is not None:
        wanted = material.class_concepts[units]
        hit = top == wanted[:, None]
        every = len(material.class_concepts)
        top1, top5 = hit[:, 0].sum() / every, hit.any(axis=1).sum() / every
        texts = material.texts.numpy()[top[:, 0]]
        cosine = float(np.einsum("ud,ud->u", texts, material.class_vectors[units]).mean())
    return Found(
        float(redundancy.shared(compared).mean()),
        counts.max() / len(top),
        int((counts > 0).sum()),
        _right(material, activations, top[:, 0]),
        _right(material, without_mean(activations), top[:, 0]),
        top1,
        top5,
        cosine,
    )


def _right(material: Material, activations: np.ndarray, labels: np.ndarray) -> float:
    """Over units whose best correlation with a true concept is above CLEAR: whose label has it."""
    if material.present is None:
        return float("nan")
    shown = np.logical_and(material.present.any(axis=0), np.logical_not(material.present.all(axis=0)))
    values = np.full((activations.shape[1], len(shown)), -1.0)
    values[:, shown] = correlation(activations, material.present[:, shown])
    best = values.max(axis=1)
    clear = best > CLEAR
    of_label = values[np.arange(len(labels)), labels]
    return float((of_label >= best - 1e-9)[clear].mean()) if clear.any() else float("nan")


@click.command()
@click.argument("workspace", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--truth", type=click.Path(path_type=Path, exists=True), default=None)
@click.option("--class-names", type=click.Path(path_type=Path, exists=True), default=None)
@click.option("--head", default="fc", show_default=True, help="The layer whose units are the classes.")
@click.option("--epoch", type=float, default=None, show_default="each run's last")
@click.option("--recipe", "recipes", multiple=True, show_default="all")
def main(
    workspace: Path,
    truth: Path | None,
    class_names: Path | None,
    head: str,
    epoch: float | None,
    recipes: tuple[str, ...],
) -> None:
    """Label the units of WORKSPACE by every remedy, and print how they fare."""
    material = Material.of(workspace, truth, class_names)
    spaces = {
        False: Space(material.images, material.texts),
        True: Space.centred(material.images, material.texts),
    }
    found: dict[tuple[str, str], dict[str, list[Found]]] = {}
    listed = [
        (run, layer, epochs[-1] if epoch is None else epoch)
        for (run, layer), epochs in material.epochs().items()
        if (epoch is None or epoch in epochs) and (not recipes or recipe(run) in recipes)
    ]
    for run, layer, at in track(listed, "labelling"):
        activations, units = material.activations(run, layer, at)
        for remedy in REMEDIES:
            one = measure(material, spaces, remedy, activations, units, layer == head)
            found.setdefault((recipe(run), layer), {}).setdefault(remedy.name, []).append(one)
    click.echo(f"chance level of the overlap: {_chance(material):.3f}")
    for (of, layer), by_remedy in found.items():
        click.echo(f"\n**{of}, {layer}**, {len(next(iter(by_remedy.values())))} seeds\n")
        columns = {
            "overlap": "overlap",
            "commonest label": "commonest",
            "labels": "labels",
            "right": "right",
            "right of what is left": "right_apart",
            "top-1": "top1",
            "top-5": "top5",
            "cosine": "cosine",
        }
        shown = {
            title: [
                spread([getattr(one, name) for one in some], 0 if name == "labels" else 2)
                for some in by_remedy.values()
            ]
            for title, name in columns.items()
        }
        shown = {title: cells for title, cells in shown.items() if any(cells)}
        click.echo(f"| remedy | {' | '.join(shown)} |")
        click.echo(f"|{'---|' * (len(shown) + 1)}")
        for position, remedy_name in enumerate(by_remedy):
            click.echo(f"| {remedy_name} | {' | '.join(cells[position] for cells in shown.values())} |")


def _chance(material: Material) -> float:
    images = len(material.images)
    return redundancy.compared_images(images) / images


if __name__ == "__main__":
    main()
