"""How far each layout may be believed, and what it costs: simulated training, and the runs of a workspace.

    python -m scripts.bench.layouts demo/workspace --anchors data/concepts/world_anchors.csv --photographs OTHER
    python -m scripts.bench.layouts --points 100000

Every layout is made once for each seed, in a process of its own: `process` is that process from start to end, imports,
compilation and reading included; `fit` is the layout alone, compilation included, in seconds of the processor, since
other programs disturb those of the clock. The measures are those of cmon/embedding/fidelity.py. `aligned`, umap-learn's
AlignedUMAP, is what people have today.

Simulated training: 400 units over 10 epochs, vectors of 256 numbers, 60 anchors in random directions. 300 units drift
from the anchors' centroid to their own anchor, each at its own speed; 100 stand still. Each unit has a deviation of its
own that stays (as long as an anchor's vector), and at each epoch a small one (a 200th of that). Each seed draws anew.

With --points, only time of the processor and peak memory, on such a training with so many points, of layouts and of
the measures.
Without a workspace, only the simulated training; --photographs is a second workspace, of networks trained on real
photographs (docs/real-photographs.md), and is skipped where there is none.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cmon.concepts import files_or_words
from cmon.embedding import fidelity
from cmon.embedding.anchors import choose_anchors
from cmon.embedding.content import read_content
from cmon.embedding.layouts.base import Points, normalise_vectors
from cmon.embedding.layouts.registry import LAYOUTS, create_layout
from cmon.rank_correlation import spearman
from cmon.workspace.selection import Choice
from cmon.workspace.workspace import Workspace

Data = dict[str, np.ndarray]

MEASURES = {
    "trustworthiness": "trust",
    "continuity": "continuity",
    "still_step": "still",
    "displacement": "steps",
    "nearest_distance": "unit-anchor",
    "d_anchor": "tau",
    "same_anchor": "same anchor",
    "anchor_distance": "all anchors",
}
PLANTED = {"still_planted": "still (planted)", "moved": "displacement", "own_anchor": "own anchor"}


def simulate(seed: int, epochs: int = 10, units: int = 400, width: int = 256, anchors: int = 60) -> Data:
    """See the top of this file."""
    random = np.random.default_rng(seed)
    targets = normalise_vectors(random.normal(size=(anchors, width)))
    goal = random.integers(anchors, size=units)
    speed = random.uniform(0.1, 1, units)
    speed[:100] = 0
    own = random.normal(size=(units, width)) / np.sqrt(width)
    found = []
    for epoch in range(epochs):
        reached = (speed * epoch / (epochs - 1))[:, None]
        shaken = random.normal(size=own.shape) / np.sqrt(width) / 200
        found.append(
            normalise_vectors((1 - reached) * targets.mean(axis=0) + reached * targets[goal] + own + shaken)
        )
    return {
        "vectors": np.concatenate(found),
        "units": np.tile(np.arange(units), epochs),
        "epochs": np.repeat(np.arange(epochs, dtype=float), units),
        "groups": np.zeros(epochs * units, dtype=int),
        "anchors": targets,
        "others": np.empty((0, width)),
        "goal": np.tile(goal, epochs),
        "still": np.tile(np.arange(units) < 100, epochs),
    }


def keys_of(data: Data) -> pd.DataFrame:
    """Of the units of a simulated training."""
    return pd.DataFrame({"run": "simulated", "layer": "", "epoch": data["epochs"], "unit": data["units"]})


def read_workspace(folder: Path, given: list[str]) -> tuple[Data, pd.DataFrame]:
    """The units and anchors of a workspace, and the units' keys."""
    workspace = Workspace(folder)
    vocabulary = workspace.frame("vocabulary")
    anchors = choose_anchors(files_or_words(given) if given else None, vocabulary)

    def unknown(_: Any, texts: Any) -> Any:
        raise SystemExit(f"these anchors were not scored: {', '.join(texts)}")

    content = read_content(workspace, vocabulary, anchors, unknown, Choice())
    data = {
        "vectors": content.points.vectors,
        "units": content.points.units,
        "epochs": content.points.epochs,
        "groups": content.points.groups,
        "anchors": content.anchors,
        "others": content.others,
    }
    return data, content.keys


def make(source: Path, name: str, seed: int, target: Path) -> None:
    """What the process of its own does."""
    with np.load(source) as file:
        data = dict(file)
    points = Points(data["vectors"], data["units"], data["epochs"], data["groups"])
    layout = create_layout(name)
    start = time.process_time()
    places = layout.fit(points, data["anchors"], data["others"], seed)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    np.savez(target, points=places.points, anchors=places.anchors, seconds=seconds, peak=peak)


def make_in_a_process(data: Data, layout: str, seed: int, folder: Path) -> tuple[float, Data]:
    """The seconds from start to end of a process of its own, and what `make` wrote there."""
    source, target = folder / "data.npz", folder / "places.npz"
    arrays: dict[str, Any] = data  # to numpy's types, a name might be its option
    np.savez(source, **arrays)
    start = time.perf_counter()
    module = ["-m", "scripts.bench.layouts"]
    command = [sys.executable, *module, "--make", str(source), layout, str(seed), str(target)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    process = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"the layout {layout} failed:\n{done.stderr}")
    with np.load(target) as file:
        return process, dict(file)


def measure(data: Data, keys: pd.DataFrame, layout: str, seed: int, folder: Path) -> dict[str, float]:
    process, made = make_in_a_process(data, layout, seed, folder)
    places, anchors, seconds = made["points"], made["anchors"], float(made["seconds"])
    found = fidelity.measure(keys, data["vectors"], places, data["anchors"], anchors)
    row = {"process": process, "fit": seconds} | {name: getattr(found, name) for name in MEASURES}
    return row | (measure_planted(data, places, anchors) if "goal" in data else {})


def measure_planted(data: Data, places: np.ndarray, anchors: np.ndarray) -> dict[str, float]:
    """What only a simulation knows: who stands still, how far each unit came, and which anchor is its own.

    The mean step of the still, in units of the anchors' RMS radius; over units, the rank correlation of the
    distance from the first to the last epoch; over units and epochs, that of the distance to the own anchor.
    """
    count = int((data["epochs"] == 0).sum())
    plane, clip = places.reshape(-1, count, 2), data["vectors"].reshape(-1, count, data["vectors"].shape[1])
    steps = np.linalg.norm(np.diff(plane, axis=0), axis=2)
    ends = [np.linalg.norm(each[-1] - each[0], axis=1) for each in (clip, plane)]
    own = [
        np.linalg.norm(points - targets[data["goal"]], axis=1)
        for points, targets in ((data["vectors"], data["anchors"]), (places, anchors))
    ]
    return {
        "still_planted": float(steps[:, data["still"][:count]].mean()),
        "moved": spearman(*ends),
        "own_anchor": spearman(*own),
    }


def cost(points: int, layouts: list[str]) -> str:
    """Seconds and peak memory with many points, as Markdown."""
    data = simulate(0, units=points // 10)
    keys = keys_of(data)
    lines = ["| layout | process, s | fit, s | peak MB | measures, s |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as name:
        for layout in layouts:
            process, made = make_in_a_process(data, layout, 0, Path(name))
            start = time.process_time()
            fidelity.measure(keys, data["vectors"], made["points"], data["anchors"], made["anchors"])
            took = time.process_time() - start
            numbers = f"{process:.0f} | {made['seconds']:.1f} | {made['peak'] / 1e6:,.0f} | {took:.1f}"
            lines.append(f"| {layout} | {numbers} |")
    return "\n".join(lines)


def table(rows: pd.DataFrame) -> str:
    """Mean and half the range over the seeds, of times the median, as Markdown."""
    names = {"process": "process, s", "fit": "fit, s"} | MEASURES | PLANTED
    columns = [name for name in names if name in rows]
    lines = [
        "| layout | " + " | ".join(names[name] for name in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for layout, own in rows.groupby("layout", sort=False):
        cells = []
        for name in columns:
            mean, half = own[name].mean(), (own[name].max() - own[name].min()) / 2
            timed = name in ("process", "fit")  # other programs disturb times
            cells.append(f"{own[name].median():.1f}" if timed else f"{mean:.3f} ±{half:.3f}")
        lines.append(f"| {layout} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workspace", type=Path, nargs="?")
    parser.add_argument("--anchors", action="append", default=[], help="as of cmon embed")
    parser.add_argument(
        "--photographs", type=Path, help="a workspace of networks trained on real photographs"
    )
    parser.add_argument("--photograph-anchors", action="append", default=[], help="as of cmon embed")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--layout", action="append", choices=LAYOUTS, help="only these")
    parser.add_argument("--json", type=Path, help="all numbers, for each seed")
    parser.add_argument(
        "--points", type=int, help="time and memory with so many simulated points (aligned only if asked for)"
    )
    options = parser.parse_args()
    if options.points:
        print(cost(options.points, options.layout or [name for name in LAYOUTS if name != "aligned"]))
        return
    given = {"workspace": read_workspace(options.workspace, options.anchors)} if options.workspace else {}
    if options.photographs and options.photographs.is_dir():
        given["photographs"] = read_workspace(options.photographs, options.photograph_anchors)
    elif options.photographs:
        print(f"photographs: skipped, {options.photographs} is not there", file=sys.stderr)
    found = []
    with tempfile.TemporaryDirectory() as name:
        for seed in range(options.seeds):
            made = simulate(seed)
            for layout in options.layout or LAYOUTS:
                for what, (points, index) in ({"simulated": (made, keys_of(made))} | given).items():
                    row = measure(points, index, layout, seed, Path(name))
                    found.append({"data": what, "layout": layout, "seed": seed, **row})
                    print(f"{what} {layout} seed {seed}: {row['process']:.1f} s", file=sys.stderr)
    rows = pd.DataFrame(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    for what, own in rows.groupby("data", sort=False):
        points = given[what][0] if what in given else simulate(0)
        print(
            f"\n{what}: {len(points['vectors']):,} points, {len(points['anchors'])} anchors, {options.seeds} seeds\n"
        )
        print(table(own.dropna(axis=1, how="all")))
        times = own.groupby("layout")[["process", "fit"]].median()
        if {"aligned", "umap"} <= set(times.index):
            ratio = times.loc["aligned"] / times.loc["umap"]
            print(f"\numap: 1/{ratio['process']:.1f} of aligned's process, 1/{ratio['fit']:.1f} of its fit")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), Path(sys.argv[5]))
    else:
        main()
