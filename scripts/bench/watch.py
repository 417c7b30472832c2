"""How much `cmon watch` slows the training that it watches, and what it takes itself.

    python -m scripts.bench.watch demo/train demo/probe/images --images 640 --epochs 6

Trains ResNet-18 with one thread, twice alone and twice beside a watch with one thread, in turns. Beside one core for
each, a training should need no more processor time than alone, and as many seconds. Times are of the last training
epochs but the first, when the watch loads its libraries; the machine's load from others shows in the seconds only.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click

ROOT = Path(__file__).parents[2]
STAGES = (
    ("extract", "--run", "standard={runs}", "--model", "torchvision:resnet18", "--layer", "layer3", "--layer", "layer4",
     "--image-size", "64", "--probe", "{probe}", "--workers", "0"),
    ("score", "--clip", f"local-dir:{ROOT / 'data/world-clip'}", "--concepts", f"{ROOT / 'data/concepts/world.csv'}",
     "--workers", "0"),
    ("embed", "--anchors", f"{ROOT / 'data/concepts/world_anchors.csv'}"),
    ("report",),
)  # fmt: skip


@dataclass(frozen=True)
class Taken:
    """What one training took, and the watch beside it."""

    epoch_seconds: float
    """Median of the epochs."""
    cpu_seconds: float
    """Of the training process, all of it."""
    watch_cpu_seconds: float
    """0 without one."""
    seconds: float
    """From the start of the training to its end."""


def start(*words: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", *map(str, words)]
    return subprocess.Popen(command, env=environment, stdout=-1, stderr=subprocess.DEVNULL, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[str, float]:
    """(standard output, processor seconds) of a process, once it has ended."""
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{process.args!r} ended with {process.returncode}")
    return text, used.ru_utime + used.ru_stime


def train(world: Path, probe: Path, images: int, epochs: int, watched: bool) -> Taken:
    with tempfile.TemporaryDirectory() as name:
        runs, work = Path(name) / "runs", Path(name) / "work"
        begin = time.perf_counter()
        training = start(
            "scripts.bench.plain_training",
            world,
            runs,
            "--images",
            images,
            "--epochs",
            epochs,
            "--threads",
            1,
        )
        watch_cpu = 0.0
        if watched:
            while not (runs / "epoch_0.pt").exists():
                time.sleep(0.2)
            time.sleep(1)
            for stage, *options in STAGES:
                words = [word.format(runs=runs, probe=probe) for word in options]
                watch_cpu += ended(start("cmon", stage, work, "--quiet", *words))[1]
            watch = start("cmon", "watch", work, "--every", 5, "--until-epoch", epochs, "--quiet")
        text, cpu = ended(training)
        seconds = time.perf_counter() - begin
        if watched:
            watch_cpu += ended(watch)[1]
        return Taken(statistics.median(json.loads(text.splitlines()[-1])[1:]), cpu, watch_cpu, seconds)


@click.command()
@click.argument("world", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("probe", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--images", type=int, default=640, show_default=True)
@click.option("--epochs", type=click.IntRange(min=3), default=6, show_default=True)
@click.option("--times", type=click.IntRange(min=1), default=2, show_default=True)
def main(world: Path, probe: Path, images: int, epochs: int, times: int) -> None:
    """Time trainings on WORLD, alone and watched with the images of PROBE."""
    taken = {watched: [] for watched in (False, True)}  # type: dict[bool, list[Taken]]
    for _ in range(times):
        for watched, own in taken.items():
            own.append(train(world, probe, images, epochs, watched))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[2]:.1f} over the last 15 minutes\n")
    print(
        "| training | seconds an epoch | its processor seconds | the stages' and the watch's processor seconds |"
    )
    print("|---|---|---|---|")
    for watched, own in taken.items():
        cells = ["beside a watch" if watched else "alone"]
        cells.append(" / ".join(f"{one.epoch_seconds:.1f}" for one in own))
        cells.append(" / ".join(f"{one.cpu_seconds:.0f}" for one in own))
        cells.append(" / ".join(f"{one.watch_cpu_seconds:.0f}" for one in own) if watched else "")
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
