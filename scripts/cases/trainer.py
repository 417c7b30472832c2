"""The one trainer of all recipes: an epoch at a time, each kept, and after an interruption on from the last whole one.

A training's folder receives epoch_0.pt (as it started), epoch_1.pt, ..., training.csv with a row for each of them,
classes.txt with the names of the head's units in order, recipe.json with all that it was made from, and mask.pt
where weights were held at zero. It stands aside as .NAME.part until it is whole.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR

from scripts.cases.attack import Adversary
from scripts.cases.augmentation import augmented, normalized
from scripts.cases.optimizers import build_optimizer
from scripts.cases.pictures import Labelled, Pictures

RECIPE, RESUME, LOG, MASK = "recipe.json", "resume.pt", "training.csv", "mask.pt"
ATTACKED = 1000
"""Pictures to test with that the adversary changes, at most."""
AT_A_TIME = 256
"""Pictures when a network is tested."""
MEASURED = 0
"""Seed of which pictures are measured, and of where the adversary starts: the same in all epochs and trainings."""


@dataclass(frozen=True)
class Settings:
    """How to train."""

    epochs: int
    seed: int
    """Of the order of the pictures, their augmentation and the adversary's starts; and, in recipes, of weights."""
    learning_rate: float
    """The peak of the schedule."""
    optimizer: str
    """One of torch.optim with its options: AdamW:weight_decay=0.05."""
    batch_size: int
    one_cycle: bool = True
    """Up to the peak for a quarter of the steps, then down to nothing; otherwise the rate is constant."""
    permuted_labels: bool = False
    """Whether the pictures to train with have each other's labels; those to test with have their own."""
    adversary: Adversary | None = None
    """Changes every picture that is trained with."""
    examiner: Adversary | None = None
    """Changes pictures to test with: robust_accuracy is the share that stays right at every step."""
    bf16: bool = False
    """Convolutions in bf16 (autocast)."""


@dataclass(frozen=True)
class Start:
    """Where a training starts."""

    network: nn.Module
    mask: Mapping[str, Tensor] = field(default_factory=dict)
    """From a parameter's name to where it may be other than zero, bool of its shape."""


@dataclass(frozen=True)
class Training:
    """A network that is to be trained, and all that the result depends on."""

    name: str
    """Of the recipe; it stands in the log."""
    settings: Settings
    pictures: Pictures
    start: Callable[[], Start]
    made_from: Mapping[str, Any]
    """What `start` depends on."""

    @property
    def fingerprint(self) -> str:
        """Equal texts need no second training."""
        made_from = {
            "recipe": self.name,
            "settings": asdict(self.settings),
            "pictures": self.pictures.fingerprint,
            "start": dict(self.made_from),
        }
        return json.dumps(made_from, indent=1)

    @property
    def digest(self) -> str:
        """A short name for the fingerprint, for what starts from this training."""
        return hashlib.sha256(self.fingerprint.encode()).hexdigest()

    def finished(self, out: Path) -> bool:
        """Whether `out` holds what this training would leave there."""
        recipe = out / RECIPE
        return recipe.is_file() and recipe.read_text() == self.fingerprint


class Forward:
    """A network as a function from pictures of 0 to 1, (B,3,S,S) float32, to logits, (B,K) float32."""

    def __init__(self, network: nn.Module, bf16: bool) -> None:
        self.network, self.bf16 = network, bf16

    def __call__(self, pictures: Tensor) -> Tensor:
        with torch.autocast(pictures.device.type, torch.bfloat16, enabled=self.bf16):
            logits: Tensor = self.network(normalized(pictures))
        return logits.float()


def train(training: Training, out: Path) -> None:
    """Train into a folder beside `out` that becomes `out` when it is whole. Nothing is done where it is there."""
    if training.finished(out):
        click.echo(f"{out.name}: trained already", err=True)
        return
    aside = out.with_name(f".{out.name}.part")
    recipe = aside / RECIPE
    if not (recipe.is_file() and recipe.read_text() == training.fingerprint):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        (aside / "classes.txt").write_text("\n".join(training.pictures.names) + "\n")
        recipe.write_text(training.fingerprint)
    start = training.start()
    if start.mask:
        torch.save(dict(start.mask), aside / MASK)
    _run(training, start, aside)
    shutil.rmtree(out, ignore_errors=True)
    os.replace(aside, out)
    (out / RESUME).unlink()  # last: without it, all epochs would have to be trained again


def _run(training: Training, start: Start, aside: Path) -> None:
    settings, pictures = training.settings, training.pictures
    if settings.permuted_labels:
        pictures = replace(pictures, train=permuted(pictures.train, settings.seed))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = start.network.to(device).to(memory_format=torch.channels_last)
    mask = {name: kept.to(device) for name, kept in start.mask.items()}
    optimizer = build_optimizer(settings.optimizer, network.parameters(), settings.learning_rate)
    steps = max(1, len(pictures.train) // settings.batch_size)
    schedule = _schedule(optimizer, settings, settings.epochs * steps)
    rows: list[dict[str, Any]] = []
    if (aside / RESUME).is_file():
        kept = torch.load(aside / RESUME, map_location=device, weights_only=True)
        network.load_state_dict(load_weights(aside, kept["epoch"]))
        optimizer.load_state_dict(kept["optimizer"])
        schedule.load_state_dict(kept["schedule"])
        with (aside / LOG).open(newline="") as file:
            rows = list(csv.DictReader(file))[: kept["epoch"] + 1]
    for epoch in range(len(rows), settings.epochs + 1):
        began = time.perf_counter()
        if epoch:
            _train_epoch(network, mask, optimizer, schedule, pictures.train, settings, epoch)
        row = {
            "epoch": epoch,
            "recipe": training.name,
            "seed": settings.seed,
            "learning_rate": schedule.get_last_lr()[0],
            **_measured(network, pictures, settings),
        }
        rows.append(row)
        _keep(aside, network, optimizer, schedule, rows)
        click.echo(
            f"{training.name}@{settings.seed}: epoch {epoch} of {settings.epochs}: held-out loss "
            f"{row['test_loss']:.3f}, accuracy {row['test_accuracy']:.3f}"
            + (f", robust {row['robust_accuracy']:.3f}" if "robust_accuracy" in row else "")
            + f"; {time.perf_counter() - began:.0f} s",
            err=True,
        )


def _train_epoch(
    network: nn.Module,
    mask: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
    schedule: LRScheduler,
    pictures: Labelled,
    settings: Settings,
    epoch: int,
) -> None:
    """Every random number is the seed's and the epoch's: so it is after an interruption what it would have been."""
    seed = int(np.random.SeedSequence((settings.seed, epoch)).generate_state(1)[0])
    torch.manual_seed(seed)  # dropout's
    generator = torch.Generator().manual_seed(seed)
    device = next(network.parameters()).device
    logits = Forward(network, settings.bf16)
    masked = [(parameter, mask[name]) for name, parameter in network.named_parameters() if name in mask]
    size = min(settings.batch_size, len(pictures))
    order = torch.randperm(len(pictures), generator=generator)[: len(pictures) // size * size]
    for pixels, named in pictures.batches(order.split(size)):
        moved = augmented(pixels.to(device), generator, moved=pictures.side // 8)
        values, classes = moved.float() / 255, named.to(device)
        if settings.adversary:
            network.eval()  # so that batch norm learns nothing from the steps
            values = settings.adversary.attacked(logits, values, classes, generator)
        network.train()
        loss = nn.functional.cross_entropy(logits(values), classes)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for parameter, kept in masked:
                parameter.mul_(kept)


def _measured(network: nn.Module, pictures: Pictures, settings: Settings) -> dict[str, float]:
    """Loss and accuracy on what is tested with and on as many of what is trained with, each as it is."""
    network.eval()
    logits = Forward(network, settings.bf16)
    device = next(network.parameters()).device
    row = {}
    count = len(pictures.test)
    for part, some in (("train", pictures.train), ("test", pictures.test)):
        loss = right = 0.0
        positions = _some(len(some), count)
        for pixels, named in some.batches(positions.split(AT_A_TIME)):
            classes = named.to(device)
            with torch.inference_mode():
                found = logits(pixels.to(device).float() / 255)
            loss += float(nn.functional.cross_entropy(found, classes, reduction="sum"))
            right += float((found.argmax(1) == classes).sum())
        row[f"{part}_loss"], row[f"{part}_accuracy"] = loss / len(positions), right / len(positions)
    if settings.examiner:
        positions, stayed = _some(count, ATTACKED), 0
        generator = torch.Generator().manual_seed(MEASURED)
        for pixels, named in pictures.test.batches(positions.split(AT_A_TIME)):
            values = pixels.to(device).float() / 255
            stayed += int(settings.examiner.withstood(logits, values, named.to(device), generator).sum())
        row["robust_accuracy"] = stayed / len(positions)
    return row


def _some(count: int, most: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(MEASURED))[:most]


def permuted(pictures: Labelled, seed: int) -> Labelled:
    """With each other's labels: a permutation, so that every class is as frequent as before."""
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(seed))
    return replace(pictures, classes=pictures.classes[order])


def load_weights(folder: Path, epoch: int) -> dict[str, Tensor]:
    """The state dict that a training kept after an epoch, on the processor."""
    kept = torch.load(folder / f"epoch_{epoch}.pt", map_location="cpu", weights_only=True)
    weights: dict[str, Tensor] = kept["model"]
    return weights


def _schedule(optimizer: torch.optim.Optimizer, settings: Settings, steps: int) -> LRScheduler:
    if not settings.one_cycle:
        return ConstantLR(optimizer, factor=1.0)
    has_momentum = "betas" in optimizer.defaults or bool(optimizer.defaults.get("momentum"))
    return OneCycleLR(
        optimizer,
        settings.learning_rate,
        total_steps=steps,
        pct_start=0.25,
        cycle_momentum=has_momentum,
    )


def _keep(
    aside: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: LRScheduler,
    rows: list[dict[str, Any]],
) -> None:
    """The epoch, and last what says that it is whole."""
    epoch = len(rows) - 1
    torch.save({"model": network.state_dict(), "epoch": epoch}, aside / f"epoch_{epoch}.pt")
    with (aside / LOG).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[-1]))
        writer.writeheader()
        writer.writerows(rows)
    fresh = aside / f"{RESUME}.new"
    torch.save(
        {"epoch": epoch, "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}, fresh
    )
    os.replace(fresh, aside / RESUME)
