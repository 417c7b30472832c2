"""Train a small ResNet-18 on a folder of photographs, well, poorly or against an adversary, and keep every epoch.

    python -m scripts.real.train_networks TRAIN OUT --test TEST --recipe standard

TRAIN and TEST hold a folder of images for each class (torchvision's ImageFolder). OUT receives epoch_0.pt (the
untrained network), epoch_1.pt, ..., classes.txt with the names of the head's units in order, and training.csv with
the recipe and, per epoch, loss and accuracy on as many of the pictures trained with as there are to test, and on
these; and the accuracy on the first 500 of these after one step of the adversary. A finished OUT of the same
recipe is left as it is.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torchvision.datasets import ImageFolder

from scripts.cases.augmentation import augmented
from scripts.demo.train_networks import STD, evaluated, faster_in_bf16, normalized
from scripts.real.network import PREPROCESS, small_resnet18

MOVED = 4
"""Pixels by which a picture is moved at most, up, down and sideways."""
ATTACKED = 500
"""Pictures to test that the adversary changes."""


@dataclass(frozen=True)
class Recipe:
    """How to train."""

    learning_rate: float
    """Peak of a one-cycle schedule for AdamW."""
    weight_decay: float = 0.05
    batch_size: int = 128
    radius: float = 0.0
    """How far the adversary may change a pixel's value, of 0 to 1; 0: there is none."""


RECIPES = {
    "standard": Recipe(learning_rate=2e-3),
    # A thousand times too small: the loss hardly falls and the filters stay about what chance made them.
    "poor": Recipe(learning_rate=2e-6),
    # Madry et al. 2017 (arXiv 1706.06083) by one step from a random start: Wong, Rice & Kolter 2020 (arXiv 2001.03994).
    "adversarial": Recipe(learning_rate=2e-3, radius=8 / 255),
}
STEP = 1.25
"""Of the adversary, in radii: Wong, Rice & Kolter's."""


def read_pictures(folder: Path) -> tuple[Tensor, Tensor, list[str]]:
    """All pictures of a folder with a folder for each class: (N,3,S,S) uint8, (N,) int64 classes, class names."""
    listed = ImageFolder(str(folder))
    pixels = np.stack([PREPROCESS.pixels(image) for image, _ in track(listed, f"reading {folder.name}")])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.tensor(listed.targets), listed.classes


def attacked(
    network: nn.Module,
    inputs: Tensor,
    classes: Tensor,
    radius: float,
    narrow: bool,
    generator: torch.Generator,
) -> Tensor:
    """The inputs after one step of the adversary from a random start, each value changed by at most `radius`.

    inputs: (B,3,S,S), normalised. A step goes where the loss rises, whatever the gradient's size (FGSM: Goodfellow,
    Shlens & Szegedy 2014). Values may leave 0..1, by as little.
    """
    scale = torch.tensor(STD).view(1, 3, 1, 1)
    start = (torch.rand(inputs.shape, generator=generator) * 2 - 1) * radius / scale
    changed = (inputs + start).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
        loss = nn.functional.cross_entropy(network(changed), classes)
    (slope,) = torch.autograd.grad(loss, changed)
    change = (start + STEP * radius / scale * slope.sign()).clamp(min=-radius / scale, max=radius / scale)
    return (inputs + change).to(memory_format=torch.channels_last)


def robust_accuracy(network: nn.Module, pixels: Tensor, classes: Tensor, narrow: bool) -> float:
    """The accuracy on pictures that the adversary changed, whatever the network was trained on."""
    network.eval()
    generator = torch.Generator().manual_seed(0)
    right = 0
    for some, named in zip(pixels.split(250), classes.split(250), strict=True):
        changed = attacked(network, normalized(some), named, RECIPES["adversarial"].radius, narrow, generator)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            right += int((network(changed).argmax(1) == named).sum())
    return right / len(pixels)


def train(folder: Path, test: Path, out: Path, name: str, epochs: int, seed: int) -> None:
    """Train one recipe into a folder beside OUT, and move it to OUT when it is whole."""
    recipe = RECIPES[name]
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    pixels, classes, names = read_pictures(folder)
    shown, shown_classes, shown_names = read_pictures(test)
    if shown_names != names:
        raise click.UsageError(f"{test} and {folder} hold folders of different classes")
    again = torch.randperm(len(pixels), generator=generator)[: len(shown)]
    some = torch.randperm(len(shown), generator=generator)[:ATTACKED]

    network = small_resnet18(len(names)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    narrow = faster_in_bf16(network)
    batches = len(pixels) // recipe.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=epochs * batches, pct_start=0.25
    )
    aside = out.with_name(f".{out.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    (aside / "classes.txt").write_text("\n".join(names) + "\n")
    rows = []
    for epoch in range(epochs + 1):
        if epoch:
            network.train()
            order = torch.randperm(len(pixels), generator=generator)[: batches * recipe.batch_size]
            for batch in track(order.split(recipe.batch_size), f"{name}: epoch {epoch} of {epochs}"):
                inputs = normalized(augmented(pixels[batch], generator, MOVED))
                if recipe.radius:
                    inputs = attacked(network, inputs, classes[batch], recipe.radius, narrow, generator)
                with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
                    loss = nn.functional.cross_entropy(network(inputs), classes[batch])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
        row: dict[str, object] = {
            "epoch": epoch,
            "recipe": name,
            "learning_rate": schedule.get_last_lr()[0],
        }
        for part, (images, named) in {
            "train": (pixels[again], classes[again]),
            "test": (shown, shown_classes),
        }.items():
            with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
                row[f"{part}_loss"], row[f"{part}_accuracy"] = evaluated(network, images, named)
        row["robust_accuracy"] = robust_accuracy(network, shown[some], shown_classes[some], narrow)
        rows.append(row)
        torch.save({"model": network.state_dict(), "epoch": epoch}, aside / f"epoch_{epoch}.pt")
        Console(stderr=True).print(
            f"{name}: epoch {epoch}: loss {row['test_loss']:.3f}, accuracy {row['test_accuracy']:.3f}, "
            f"against the adversary {row['robust_accuracy']:.3f}",
            highlight=False,
        )
    with (aside / "training.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (aside / "recipe.json").write_text(fingerprint(folder, test, name, epochs, seed))
    shutil.rmtree(out, ignore_errors=True)
    os.replace(aside, out)


def fingerprint(folder: Path, test: Path, name: str, epochs: int, seed: int) -> str:
    """What a finished folder was made from; equal texts need no second training."""
    pictures = {}
    for part, path in (("train", folder), ("test", test)):
        found = hashlib.sha256()
        for file, _ in ImageFolder(str(path)).samples:
            found.update(f"{Path(file).relative_to(path)} {os.path.getsize(file)}\n".encode())
        pictures[part] = found.hexdigest()
    made_from = {"recipe": asdict(RECIPES[name]), "epochs": epochs, "seed": seed, "pictures": pictures}
    return json.dumps(made_from, indent=1)


@click.command()
@click.argument("folder", metavar="TRAIN", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--test", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--recipe", type=click.Choice(list(RECIPES)), default="standard", show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(folder: Path, out: Path, test: Path, recipe: str, epochs: int, seed: int) -> None:
    """Train a small ResNet-18 on the classes of TRAIN and keep every epoch in OUT."""
    done = out / "recipe.json"
    if done.is_file() and done.read_text() == fingerprint(folder, test, recipe, epochs, seed):
        Console(stderr=True).print(f"{out}: trained already", highlight=False)
        return
    train(folder, test, out, recipe, epochs, seed)


if __name__ == "__main__":
    main()
