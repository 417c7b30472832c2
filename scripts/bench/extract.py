"""How fast `cmon extract` is, against what people do today, on the same checkpoints and photographs.

    python -m scripts.bench.extract PHOTOS [--images 2000] [--checkpoints 10] [--precision fp32 --precision bf16]

The baseline: for each checkpoint, a DataLoader decodes every image, and an eager float32 network with hooks
runs on it; with --baseline-checkpoints it does so for fewer checkpoints, and its time, which grows with them, is
scaled. Every way runs in a process of its own, from start to end. Prints one Markdown table: seconds on the
clock and of the processor, workers included, their ratios to the baseline of the same run, the peak memory, and the
overlap of the top images per unit. The machine and how busy it was stand above it, and below it the time of the
networks' multiplications alone at the rate of matrix products: what no change of cmon's could save.

    python -m scripts.bench.extract PHOTOS --memory

Peak memory with more images, more checkpoints and more units (all 26,560 of ResNet-50's convolutions); the
photographs are copied again and again, which --images does for speed, too.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from cmon.workspace.keys import epoch_text

LAYERS = ("layer2", "layer3", "layer4")
TOP = 100
CONVOLUTIONS = ("conv1", "layer*.*.conv?", "layer*.*.downsample.0")
"""Of a ResNet-50: 53 layers of 26,560 units."""
FACTORS = 1.81e9
"""Multiplications of one picture of 224 pixels in a ResNet-18."""


def write_checkpoints(folder: Path, count: int, model: str = "resnet18") -> None:
    """ResNets that differ in every weight, with batch-norm statistics as training leaves them."""
    import torch
    from torchvision.models import get_model

    folder.mkdir(parents=True)
    for epoch in range(count):
        torch.manual_seed(epoch)
        network = get_model(model, weights=None)
        network.train()
        with torch.no_grad():
            for _ in range(3):  # so that activations stay in range through the layers
                network(torch.randn(8, 3, 64, 64))
        torch.save(network.state_dict(), folder / f"epoch_{epoch}.pt")


def baseline(photos: Path, folder: Path, out: Path, workers: int, device: str) -> None:
    """Decode everything again for every checkpoint; hooks, float32, the whole network."""
    import torch
    from PIL import Image
    from torchvision.models import ResNet18_Weights, resnet18

    from cmon.workspace.files import natural_key

    transform = ResNet18_Weights.DEFAULT.transforms()
    paths = sorted(photos.iterdir(), key=lambda path: natural_key(path.name))  # cmon's order, to compare rows

    class Photos(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, index: int) -> torch.Tensor:
            return transform(Image.open(paths[index]).convert("RGB"))

    def keep(rows: list[torch.Tensor], _module: object, _inputs: object, output: torch.Tensor) -> None:
        rows.append(output.mean((2, 3)).cpu())

    found: dict[str, Any] = {}  # arrays; to numpy's types, a name might be an option of savez
    for checkpoint in sorted(folder.iterdir()):
        network = resnet18()
        network.load_state_dict(torch.load(checkpoint, weights_only=True))
        network = network.eval().to(device)
        pooled: dict[str, list[torch.Tensor]] = {layer: [] for layer in LAYERS}
        for layer in LAYERS:
            network.get_submodule(layer).register_forward_hook(partial(keep, pooled[layer]))
        with torch.no_grad():
            for batch in torch.utils.data.DataLoader(Photos(), batch_size=64, num_workers=workers):
                network(batch.to(device))
        found |= {f"{checkpoint.stem}/{layer}": torch.cat(pooled[layer]).numpy() for layer in LAYERS}
    np.savez(out, **found)


def ours(photos: Path, folder: Path, out: Path, workers: int, device: str, precision: str) -> None:
    """The stage behind `cmon extract`, into an empty workspace."""
    from cmon import devices
    from cmon.extraction.settings import ExtractSettings
    from cmon.extraction.stage import extract
    from cmon.workspace import schemas
    from cmon.workspace.table_files import read_table
    from cmon.workspace.workspace import Workspace

    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(Path(scratch))
        settings = ExtractSettings(
            "torchvision:resnet18",
            LAYERS,
            device=device,
            precision=precision,
            batch_size=devices.images_at_a_time(None, device),
            workers=workers,
        )
        extract(workspace, {"run": folder}, photos, settings)
        found: dict[str, Any] = {}
        for shard in workspace.read("shards").to_pylist():
            table = read_table(workspace.activations(shard["run"], shard["layer"], shard["epoch"]))
            name = f"epoch_{epoch_text(shard['epoch'])}/{shard['layer']}"
            found[name] = schemas.matrix(table["activations"])
        np.savez(out, **found)


def many_units(photos: Path, folder: Path, workers: int, device: str, precision: str) -> None:
    """`ours` for every convolution of ResNet-50s, in pictures of 32 pixels; nothing is read again."""
    from cmon.extraction.settings import ExtractSettings
    from cmon.extraction.stage import extract
    from cmon.workspace.workspace import Workspace

    with tempfile.TemporaryDirectory() as scratch:
        settings = ExtractSettings(
            "torchvision:resnet50",
            CONVOLUTIONS,
            image_size=32,
            device=device,
            precision=precision,
            workers=workers,
        )
        extract(Workspace(Path(scratch)), {"run": folder}, photos, settings)


def matrix_seconds(precision: str, device: str) -> float:
    """Seconds of one picture's multiplications at the rate of a product of two matrices; on a CPU the processor's."""
    import torch

    from cmon.extraction.arithmetic import arithmetic

    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    side = 2048 if device == "cpu" else 8192
    first, second = (torch.rand(side, side, device=device).to(kind) for _ in range(2))
    times = []
    with arithmetic(precision, device):
        for _ in range(4):
            start = time.process_time() if device == "cpu" else time.perf_counter()
            first @ second
            if device == "cuda":
                torch.cuda.synchronize()
            times.append((time.process_time() if device == "cpu" else time.perf_counter()) - start)
    return FACTORS * min(times) / side**3


def overlap(first: Path, second: Path, top: int) -> float:
    """Mean share of a unit's top images that both ways agree on."""
    with np.load(first) as one, np.load(second) as other:
        shares = []
        for name in one.files:
            tops = [np.argsort(-values[name], axis=0, kind="stable")[:top].T for values in (one, other)]
            shares += [len(np.intersect1d(*pair)) / top for pair in zip(*tops, strict=True)]
    return float(np.mean(shares))


def copy_photographs(photos: Path, count: int, folder: Path) -> Path:
    """So many files, one photograph after the other and again; copies, since one file by two names counts once."""
    originals = sorted(path for path in photos.iterdir() if path.is_file())
    if not originals:
        raise click.UsageError(f"{photos}: has no files")
    folder.mkdir()
    for number in range(count):
        original = originals[number % len(originals)]
        shutil.copyfile(original, folder / f"{number}{original.suffix}")
    return folder


def run_part(name: str, photos: Path, folder: Path, out: Path, workers: int, device: str) -> dict[str, float]:
    """One way in a process of its own: {'seconds': ..., 'processor': ..., 'peak_mib': ...}."""
    command = [sys.executable, __file__, str(photos), "--workers", str(workers), "--device", device]
    command += ["--part", name, "--folder", str(folder), "--out", str(out)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare_memory(photos: Path, workers: int, device: str, precision: str) -> None:
    """Peak memory of cmon at more images, more checkpoints and more units."""
    print("| images | checkpoints | units | peak MiB | growth |\n|---|---|---|---|---|")
    first = None
    with tempfile.TemporaryDirectory() as scratch:
        for images, checkpoints, part, units in (
            (200, 2, precision, 896),
            (2000, 2, precision, 896),
            (200, 20, precision, 896),
            (2000, 1, f"many-{precision}", 26560),
            (8000, 1, f"many-{precision}", 26560),
        ):
            probe = Path(scratch) / f"images-{images}"
            if not probe.exists():
                copy_photographs(photos, images, probe)
            model = "resnet50" if part.startswith("many") else "resnet18"
            folder = Path(scratch) / f"{model}-{checkpoints}"
            if not folder.exists():
                write_checkpoints(folder, checkpoints, model)
            row = run_part(part, probe, folder, Path(scratch) / "out.npz", workers, device)
            first = first or row["peak_mib"]
            print(
                f"| {images:,} | {checkpoints} | {units:,} | {row['peak_mib']:.0f} | "
                f"{row['peak_mib'] / first - 1:+.0%} |",
                flush=True,
            )


def print_table(rows: dict[str, dict[str, float]], same: dict[str, float], top: int, device: str) -> None:
    """rows and same: by the way's name; of `run_part` and `overlap`. The first one is the baseline."""
    print(
        "| way | seconds | times as fast | processor s | times as cheap | peak MiB "
        f"| same top {top} images per unit |"
    )
    print("|---|---|---|---|---|---|---|")
    slow = rows["baseline"]
    for name, row in rows.items():
        label = name if name == "baseline" else f"cmon, {name}"
        print(
            f"| {label} | {row['seconds']:.1f} | {slow['seconds'] / row['seconds']:.2f} "
            f"| {row['processor']:.1f} | {slow['processor'] / row['processor']:.2f} "
            f"| {row['peak_mib']:.0f} | {same[name]:.4f} |"
        )


def describe_machine(device: str) -> str:
    """Which processor or GPU, torch's version, and how busy the machine is beside this."""
    import torch

    names = (
        [
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ]
        if Path("/proc/cpuinfo").exists()
        else [platform.processor()]
    )
    where = torch.cuda.get_device_name() + ", " if device == "cuda" else ""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    name = names[0] if names else "an unknown processor"
    return f"{where}{os.cpu_count()} cores of {name}, torch {torch.__version__}{load}"


@click.command()
@click.argument("photos", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--images", type=int, help="So many photographs, by copies.  [default: each once]")
@click.option("--checkpoints", default=10, show_default=True)
@click.option("--baseline-checkpoints", type=int, help="The baseline's; scaled to all.  [default: all]")
@click.option("--precision", "precisions", multiple=True, default=("fp32", "bf16"), show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--memory", is_flag=True, help="Measure peak memory instead of speed.")
@click.option("--part", hidden=True, help="Run one way in this process.")
@click.option("--folder", type=click.Path(path_type=Path), hidden=True)
@click.option("--out", type=click.Path(path_type=Path), hidden=True)
def main(
    photos: Path,
    images: int | None,
    checkpoints: int,
    baseline_checkpoints: int | None,
    precisions: tuple[str, ...],
    workers: int,
    device: str,
    memory: bool,
    part: str | None,
    folder: Path | None,
    out: Path | None,
) -> None:
    """Compare `cmon extract` with the baseline on PHOTOS."""
    if part and folder and out:
        start = time.perf_counter()
        if part == "baseline":
            baseline(photos, folder, out, workers, device)
        elif part.startswith("many-"):
            many_units(photos, folder, workers, device, part.removeprefix("many-"))
        else:
            ours(photos, folder, out, workers, device, part)
        seconds = time.perf_counter() - start
        own, workers_own = (
            resource.getrusage(resource.RUSAGE_SELF),
            resource.getrusage(resource.RUSAGE_CHILDREN),
        )
        processor = sum(used.ru_utime + used.ru_stime for used in (own, workers_own))
        print(json.dumps({"seconds": seconds, "processor": processor, "peak_mib": own.ru_maxrss / 1024}))
        return

    if memory:
        compare_memory(photos, workers, device, precisions[0])
        return
    count = images or len(list(photos.iterdir()))
    fewer = min(baseline_checkpoints or checkpoints, checkpoints)
    top = min(TOP, count // 2)
    print(
        f"{checkpoints} ResNet-18 checkpoints x {count:,} photographs, 224 pixels; {describe_machine(device)}\n"
    )
    with tempfile.TemporaryDirectory() as scratch:
        probe = copy_photographs(photos, images, Path(scratch) / "photographs") if images else photos
        folders = {}
        for number in {fewer, checkpoints}:
            folders[number] = Path(scratch) / f"checkpoints-{number}"
            write_checkpoints(folders[number], number)
        rows = {}
        for name in ("baseline", *precisions):
            number = fewer if name == "baseline" else checkpoints
            rows[name] = run_part(
                name, probe, folders[number], Path(scratch) / f"{name}.npz", workers, device
            )
        for key in ("seconds", "processor"):
            rows["baseline"][key] *= checkpoints / fewer
        first = Path(scratch) / "baseline.npz"
        same = {name: overlap(first, Path(scratch) / f"{name}.npz", top) for name in rows}
        print_table(rows, same, top, device)
    if fewer < checkpoints:
        print(f"\nThe baseline ran for {fewer} checkpoints, and its times are scaled.")
    limits = [
        f"{checkpoints * count * matrix_seconds(precision, device):.2f} s in {precision}"
        for precision in precisions
    ]
    unit = "processor seconds" if device == "cpu" else "seconds"
    print("\nNothing is compiled, so that nothing is spent on it.")
    print(
        f"The networks' multiplications alone, at the rate of matrix products here, in {unit}: {', '.join(limits)}."
    )


if __name__ == "__main__":
    main()
