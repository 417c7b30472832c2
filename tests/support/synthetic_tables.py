"""A workspace as extract, score and embed would leave it, made in code from a seed.

Units drift from the anchors' centroid to their own anchor at their own speed; in the run 'poor' they hardly
move. What a test plants on top of it, it plants itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image, ImageDraw

from cmon.embedding.distances import nearest
from cmon.workspace import schemas
from cmon.workspace.files import digest, file_digest
from cmon.workspace.keys import epoch_text, sort_rows
from cmon.workspace.workspace import Workspace
from tests.support import stored_scores

WORDS = {
    "object": "dog car cat boat chair lamp horse bird bicycle mug house tree",
    "part": "wheel leg wing window handle tail door leaf",
    "scene": "beach forest street kitchen desert mountain",
    "material": "wood brick metal stone",
    "texture": "striped chequered dotted zigzagged grid woven",
    "color": "red green blue yellow",
}
ANCHORS = [(word, category) for category, words in WORDS.items() for word in words.split()]
SPEED = {"standard": 1.0, "poor": 0.06}


@dataclass(frozen=True)
class World:
    """Sizes of the synthetic workspace."""

    runs: tuple[str, ...] = ("standard", "poor")
    layers: tuple[str, ...] = ("layer3", "layer4")
    epochs: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
    units: int = 120
    images: int = 200
    top: int = 10
    """Top images of a unit."""
    anchors: tuple[tuple[str, str | None], ...] = tuple(ANCHORS)
    dead: float = 0.05
    """Share of dead units; in 'poor' the layer dies out towards the end."""
    seed: int = 0


def rows(world: World) -> dict[str, list[dict[str, Any]]]:
    """The rows of the tables shards, checkpoints, units, concepts and layout; a test may change them."""
    generator = np.random.default_rng(world.seed)
    names = [name for name, _ in world.anchors]
    categories = dict(world.anchors)
    clip = _unit_length(generator.normal(size=(len(names), 16)))
    angle, radius = (
        generator.uniform(0, 2 * np.pi, len(names)),
        np.sqrt(generator.uniform(0.02, 1, len(names))),
    )
    places = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    places -= places.mean(axis=0)
    places /= np.sqrt((places**2).sum(axis=1).mean())

    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("shards", "checkpoints", "units", "concepts", "layout")
    }
    for run in world.runs:
        for epoch in world.epochs:
            name = f"epoch_{epoch_text(epoch)}.pt"
            tables["checkpoints"].append(
                {"run": run, "checkpoint": name, "epoch": epoch, "step": None, "sha256": digest(run, epoch),
                 "wrapper": "state_dict", "status": "ok", "error": None}
            )  # fmt: skip
        for layer in world.layers:
            depth = 0.5 + 0.5 * (world.layers.index(layer) + 1) / len(world.layers)
            goal = generator.integers(len(names), size=world.units)
            speed = SPEED.get(run, 0.5) * depth * generator.uniform(0.3, 1.2, world.units)
            noise = generator.normal(size=(world.units, 16)) * 0.35
            dies = np.where(generator.uniform(size=world.units) < world.dead, 0, np.inf)
            for step, epoch in enumerate(world.epochs):
                key = {"run": run, "layer": layer, "epoch": epoch}
                tables["shards"].append(
                    {**key, "units": world.units, "axes": "nchw", "pooling": "avg", "origin": digest(key)}
                )
                reached = np.clip(speed * step / max(1, len(world.epochs) - 1), 0, 1)[:, None]
                wander = generator.normal(size=noise.shape) * 0.08
                vectors = _unit_length(reached * clip[goal] + (1 - reached) * (clip.mean(0) + noise) + wander)
                similar = vectors @ clip.T
                weights = np.exp((similar - similar.max(axis=1, keepdims=True)) / 0.12)
                weights /= weights.sum(axis=1, keepdims=True)
                planted = {"places": weights @ places, "similar": similar, "dead": dies <= step}
                _add(tables, key, planted, names, categories, places, clip, vectors, world, generator)
    for index, (name, category) in enumerate(world.anchors):
        tables["layout"].append(
            {"kind": "anchor", "concept": name, "category": category, "status": "ok",
             "x": places[index, 0], "y": places[index, 1]}
        )  # fmt: skip
    return tables


def _add(
    tables: dict[str, list[dict[str, Any]]],
    key: dict[str, Any],
    planted: dict[str, np.ndarray],
    names: Sequence[str],
    categories: dict[str, str | None],
    places: np.ndarray,
    clip: np.ndarray,
    vectors: np.ndarray,
    world: World,
    generator: np.random.Generator,
) -> None:
    """All units of one run, layer and epoch."""
    order = np.argsort(-planted["similar"], axis=1)
    near, distance = nearest(planted["places"], places)
    near_clip, distance_clip = nearest(vectors, clip)
    for unit in range(world.units):
        own = {**key, "unit": unit}
        top = generator.choice(world.images, size=min(10, world.images), replace=False)
        rest = np.random.default_rng(unit).permutation(np.setdiff1d(np.arange(world.images), top))
        top = np.r_[top, rest[: world.top - len(top)]]
        if planted["dead"][unit]:
            tables["units"].append(
                {**own, "status": "dead", "interpretable": False,
                 "top_images": top, "top_activations": np.zeros(min(10, len(top)))}
            )  # fmt: skip
            tables["layout"].append({**own, "kind": "unit", "status": "dead"})
            continue
        similar = planted["similar"][unit, order[unit]]
        label = names[order[unit, 0]]
        tables["units"].append(
            {**own, "status": "ok", "label": label, "category": categories[label], "score": 8 * similar[0],
             "margin": 8 * (similar[0] - similar[1]), "p_value": float(10 ** (-4 * similar[0] ** 2)),
             "interpretable": bool(similar[0] > 0.75), "fit": float(np.clip(similar[0], 0, 1)),
             "top_images": top, "top_activations": np.linspace(2, 1, min(10, len(top)))}
        )  # fmt: skip
        for rank, index in enumerate(order[unit, :10]):
            tables["concepts"].append(
                {**own, "rank": rank, "concept": names[index], "category": categories[names[index]],
                 "score": 8 * similar[rank]}
            )  # fmt: skip
        tables["layout"].append(
            {**own, "kind": "unit", "status": "ok", "x": planted["places"][unit, 0],
             "y": planted["places"][unit, 1], "nearest_anchor": names[near[unit]], "distance": distance[unit],
             "nearest_anchor_clip": names[near_clip[unit]], "distance_clip": distance_clip[unit]}
        )  # fmt: skip


def frames(
    world: World, keep: Callable[[dict[str, Any]], bool] = lambda row: True
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables units and layout, without the units' rows that `keep` turns down."""
    tables = rows(world)
    units = pd.DataFrame([row for row in tables["units"] if keep(row)])
    layout = pd.DataFrame([row for row in tables["layout"] if row["kind"] == "anchor" or keep(row)])
    return sort_rows(units), layout


def scores_of(units: pd.DataFrame) -> pd.DataFrame:
    """What the table `scores` says of such units, with an overlap made up from the epoch."""
    found = []
    for key, own in units.groupby(["run", "layer", "epoch"], sort=False):
        labels = own.loc[own["interpretable"], "label"].value_counts()
        of_label = {"most frequent label": labels.index[0] if len(labels) else None}
        of_label["its units"] = int(labels.max()) if len(labels) else 0
        overlap = {"overlap": 0.1 / (1 + float(own["epoch"].iloc[0])), "overlap by chance": 0.05}
        found.append({**dict(zip(["run", "layer", "epoch"], key, strict=True)), **of_label, **overlap})
    return pd.DataFrame(found)


def write(folder: Path, world: World, tables: dict[str, list[dict[str, Any]]] | None = None) -> Workspace:
    """Write the images and all tables; `tables` is what `rows` gave, perhaps changed."""
    workspace = Workspace(folder / "workspace")
    tables = dict(rows(world) if tables is None else tables)
    tables["images"] = _images(folder / "probe", world)
    tables["costs"] = [
        {"stage": stage, "seconds": 12.5, "items": 2400, "item": item, "items_per_second": 192.0,
         "peak_memory_mb": 640.0, "written_mb": 3.2}
        for stage, item in (("extract", "images x checkpoints"), ("score", "units"), ("embed", "points"))
    ]  # fmt: skip
    made = {
        name: pa.Table.from_pylist(content, schema=getattr(schemas, name.upper()))
        for name, content in tables.items()
    }
    words = [{"concept": name, "category": kind, "vector": [1.0, 0.0]} for name, kind in world.anchors]
    tables["vocabulary"] = words
    made["vocabulary"] = pa.Table.from_pylist(words, schema=schemas.vocabulary(2))
    units, concepts = made.pop("units"), made.pop("concepts")
    layout = made.pop("layout")
    for name, table in made.items():
        workspace.write(workspace.table(name), table, digest(name, tables[name]), {"made by": "a test"})
    stored_scores.write(workspace, units, concepts, tables["shards"], {"fdr": 0.05, "prior": "null"})
    inputs = {"scores": workspace.origin("scores")}
    origin = digest(tables["layout"], inputs)
    workspace.write(workspace.table("layout"), layout, origin, {"made by": "a test"}, inputs)
    return workspace


def _images(folder: Path, world: World) -> list[dict[str, Any]]:
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(world.seed)
    found = []
    for image_id in range(world.images):
        path = folder / f"{image_id:05}.png"
        ground, paint = (tuple(int(part) for part in generator.integers(60, 250, 3)) for _ in range(2))
        image = Image.new("RGB", (48, 40), ground)
        left, top = (int(part) for part in generator.integers(4, 16, 2))
        ImageDraw.Draw(image).ellipse((left, top, left + 24, top + 18), fill=paint)
        image.save(path)
        found.append(
            {
                "image_id": image_id,
                "path": str(path),
                "sha256": file_digest(path),
                "status": "ok",
                "error": None,
            }
        )
    return found


def _unit_length(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
