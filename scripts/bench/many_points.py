"""A workspace of as many units as a large study has, as `cmon score` and `cmon embed` leave it, made in seconds.

Rows of four epochs of one run are made by `synthetic_tables`; all runs and epochs are these again, an epoch beside the
other with places and scores a little shaken.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from cmon.scoring.groups import Group, remove_others, scores_table, write_listing
from cmon.workspace import schemas
from cmon.workspace.files import digest
from cmon.workspace.keys import GROUP
from cmon.workspace.workspace import Workspace
from tests.support.synthetic_tables import World, rows, write

LAYERS = ("layer2", "layer3", "layer4")
IMAGES = 3000
MADE = (0.0, 1.0, 2.0, 3.0)
"""Epochs that are made; the others repeat them in this order, as many of each."""
CLIP_WIDTH = 512


def write_many_points(folder: Path, runs: int, epochs: int, units: int) -> Workspace:
    """FOLDER/workspace with `runs` runs of `epochs` epochs of `units` units, in three layers."""
    random = np.random.default_rng(0)
    names = tuple(f"run{number}" for number in range(runs))
    made = World(runs=names[:1], layers=LAYERS, epochs=MADE, units=units // 3, images=IMAGES, top=100)
    listed = rows(World(runs=names, layers=LAYERS, epochs=tuple(map(float, range(epochs))), units=1))
    tables = rows(made)
    shards = [{**row, "units": units // 3} for row in listed["shards"]]
    workspace = write(folder, made, {**tables, "shards": shards, "checkpoints": listed["checkpoints"]})
    _write_vocabulary(workspace, made, random)

    frames = {
        name: pa.Table.from_pylist(tables[name], schema=getattr(schemas, name.upper())).to_pandas()
        for name in ("units", "concepts", "layout")
    }
    places = [frames["layout"][frames["layout"]["kind"] == "anchor"]]
    by_group = {name: dict(list(frame.groupby(["layer", "epoch"]))) for name, frame in frames.items()}
    inputs = {name: workspace.origin(name) for name in ("images", "vocabulary")}
    groups = []
    for shard in shards:
        run, layer, epoch = (shard[name] for name in GROUP)
        like = MADE[int(len(MADE) * float(str(epoch)) / epochs)]
        own = {name: frame[layer, like].assign(run=run, epoch=epoch) for name, frame in by_group.items()}
        shaken = own["layout"]
        live = shaken["status"] == "ok"
        shaken.loc[live, ["x", "y"]] += random.normal(scale=0.01, size=(live.sum(), 2))
        places.append(shaken)
        own["concepts"]["score"] += random.normal(scale=0.01, size=len(own["concepts"])).astype(np.float32)
        groups.append(_write_group(workspace, shard, own, inputs))
    write_listing(workspace, scores_table(workspace, groups), {"fdr": 0.05, "prior": "null"})
    remove_others(workspace, groups)
    layout = pa.Table.from_pandas(pd.concat(places), schema=schemas.LAYOUT, preserve_index=False)
    parameters, scored = {"made by": "a benchmark"}, {"scores": workspace.origin("scores")}
    workspace.write(workspace.table("layout"), layout, digest("layout", scored), parameters, scored)
    return workspace


def _write_group(
    workspace: Workspace, shard: dict[str, object], frames: dict[str, pd.DataFrame], inputs: dict[str, str]
) -> Group:
    group = Group(shard, digest(shard["origin"]))
    tables = {
        name: pa.Table.from_pandas(frames[name], schema=getattr(schemas, name.upper()), preserve_index=False)
        for name in ("units", "concepts")
    }
    group.write(workspace, tables, inputs)
    return group


def _write_vocabulary(workspace: Workspace, world: World, random: np.random.Generator) -> None:
    """With vectors as wide as a CLIP's, since their width decides what laying out costs."""
    words = [
        {"concept": name, "category": kind, "vector": vector / np.linalg.norm(vector)}
        for (name, kind), vector in zip(
            world.anchors, random.normal(size=(len(world.anchors), CLIP_WIDTH)), strict=True
        )
    ]
    table = pa.Table.from_pylist(words, schema=schemas.vocabulary(CLIP_WIDTH))
    workspace.write(workspace.table("vocabulary"), table, digest("drawn", CLIP_WIDTH))
