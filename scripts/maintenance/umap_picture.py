"""Draw what a plain UMAP does to distances, and what fixing the concepts changes, where the truth is planted.

    python -m scripts.maintenance.umap_picture docs/figures/umap-distances.png

The training of `scripts.bench.layouts.simulate`, with 12 anchors and 200 units: half of them drift from the anchors'
middle to an anchor of their own, the others stand still. Left, umap-learn's UMAP of all units and anchors; right, the
layout `umap`.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # a file is written, no window opened

import matplotlib.pyplot as plt
import numpy as np

from cmon.embedding.distances import nearest
from cmon.embedding.layouts.base import Places, Points, normalise_places
from cmon.embedding.layouts.registry import create_layout
from cmon.rank_correlation import spearman
from scripts.bench.layouts import Data, simulate

EPOCHS, UNITS, ANCHORS = 10, 200, 12


def plain_umap(data: Data) -> Places:
    """Of all units at all epochs and the anchors, with umap-learn's defaults but for the metric."""
    from umap import UMAP

    vectors = np.vstack([data["vectors"], data["anchors"]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # umap says that a seed makes it run on one core
        places = UMAP(metric="cosine", random_state=0).fit_transform(vectors).astype(np.float64)
    return normalise_places(places[: -len(data["anchors"])], places[-len(data["anchors"]) :])


def fixed_umap(data: Data) -> Places:
    points = Points(data["vectors"], data["units"], data["epochs"], data["groups"])
    return create_layout("umap").fit(points, data["anchors"], data["others"], 0)


def draw(data: Data, planes: dict[str, Places], target: Path) -> None:
    """Three rows: the plane, the units' distances to the nearest anchor, and their mean over the epochs."""
    _, clip = nearest(data["vectors"], data["anchors"])
    figure, axes = plt.subplots(
        3, len(planes), figsize=(9, 11.5), layout="constrained", height_ratios=(2, 1.1, 0.9)
    )
    for (title, places), (above, middle, below) in zip(planes.items(), axes.T, strict=True):
        _, plane = nearest(places.points, places.anchors)
        shown = above.scatter(*places.points.T, c=clip, s=5, cmap="viridis", linewidths=0)
        above.scatter(
            *places.anchors.T, marker="*", s=110, color="crimson", edgecolors="white", linewidths=0.7
        )
        above.set(title=title, aspect="equal", xticks=[], yticks=[])
        middle.scatter(clip, plane, c=clip, s=4, cmap="viridis", linewidths=0)
        middle.set(
            xlabel="distance to the nearest anchor in CLIP's space",
            ylabel="in the plane",
            ylim=(0, None),
            title=f"rank correlation {spearman(clip, plane):.2f}",
        )
        draw_means(below, data, {"in CLIP's space": clip, "in the plane": plane})
    figure.colorbar(shown, ax=axes[0], label="distance to the nearest anchor in CLIP's space", shrink=0.8)
    figure.savefig(target, dpi=90)


def draw_means(axis: Any, data: Data, distances: dict[str, np.ndarray]) -> None:
    """d_anchor of each epoch, in parts of the first one's."""
    epochs = np.unique(data["epochs"])
    for (name, distance), style in zip(distances.items(), ("k--", "-"), strict=True):
        means = np.array([distance[data["epochs"] == epoch].mean() for epoch in epochs])
        axis.plot(epochs, means / means[0], style, label=name)
    axis.set(xlabel="epoch", ylabel="d_anchor, of the first", ylim=(0, None))
    axis.legend(frameon=False)


def main() -> None:
    data = simulate(0, EPOCHS, UNITS, anchors=ANCHORS)
    draw(
        data,
        {"a plain UMAP": plain_umap(data), "umap, the concepts fixed": fixed_umap(data)},
        Path(sys.argv[1]),
    )


if __name__ == "__main__":
    main()
