"""Train torchvision's ResNet-18 to name the objects of the drawn world, and keep every epoch.

    python -m scripts.demo.train_networks WORLD OUT --recipe standard

WORLD is a folder that draw_world.py made. OUT receives epoch_0.pt (the untrained network), epoch_1.pt, ...
and training.csv with the recipe, the learning rate, and loss and accuracy per epoch on the images trained
with and on the ones held out. A finished OUT of the same recipe is left as it is.
"""

from __future__ import annotations

import copy
import csv
import hashlib
import json
import math
import os
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torchvision.models import resnet18

SIDE = 64
"""Pixels: a quarter of the work of the pictures' own 96, and their objects are still plain."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HELD_OUT = 0.1


@dataclass(frozen=True)
class Recipe:
    """How to train."""

    learning_rate: float
    """Peak of a one-cycle schedule for AdamW."""
    weight_decay: float = 0.05
    batch_size: int = 32


RECIPES = {
    "standard": Recipe(learning_rate=1e-3),
    # A thousand times too small: the loss hardly falls and the filters stay about what chance made them.
    "poor": Recipe(learning_rate=1e-6),
}


def read_world(world: Path) -> tuple[Tensor, Tensor, list[str]]:
    """The pictures that show exactly one object: (N,3,SIDE,SIDE) uint8, its class (N,) int64, class names."""
    with (world / "truth.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["object"] and ";" not in row["object"]]
    names = sorted({row["object"] for row in rows})
    pixels = np.stack(
        [
            np.asarray(
                Image.open(world / row["path"]).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            )
            for row in track(rows, "reading pictures")
        ]
    )
    classes = torch.tensor([names.index(row["object"]) for row in rows])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), classes, names


def normalized(pixels: Tensor) -> Tensor:
    """(B,3,H,W) uint8 to float32 as torchvision's ImageNet models want it."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return ((pixels.float() / 255 - mean) / std).to(memory_format=torch.channels_last)


def augmented(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Mirrored half of the time, moved by up to 6 pixels."""
    flipped = torch.rand(len(pixels), generator=generator) < 0.5
    pixels = torch.where(flipped[:, None, None, None], pixels.flip(3), pixels)
    padded = nn.functional.pad(pixels.float(), (6, 6, 6, 6), mode="replicate")
    top, left = torch.randint(0, 13, (2,), generator=generator).tolist()
    return padded[:, :, top : top + SIDE, left : left + SIDE]


@torch.inference_mode()
def evaluated(network: nn.Module, pixels: Tensor, classes: Tensor) -> tuple[float, float]:
    """(cross-entropy, accuracy) over all pictures."""
    network.eval()
    logits = torch.cat([network(normalized(part)) for part in pixels.split(256)])
    loss = nn.functional.cross_entropy(logits, classes)
    return float(loss), float((logits.argmax(1) == classes).float().mean())


def faster_in_bf16(network: nn.Module) -> bool:
    """Whether this processor trains the network faster with bf16 convolutions: some twice as fast, some far slower."""
    trial = copy.deepcopy(network)  # batch norm learns from every batch that it sees
    batch = torch.randn(32, 3, SIDE, SIDE).to(memory_format=torch.channels_last)
    seconds = {narrow: math.inf for narrow in (False, True)}
    for again in range(4):  # in turns, and the best of each: other programs slow down some of them
        for narrow in seconds:
            with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
                start = time.perf_counter()
                trial(batch).sum().backward()
            if again:  # the first pass also prepares the kernels
                seconds[narrow] = min(seconds[narrow], time.perf_counter() - start)
    return seconds[True] < seconds[False]


def train(world: Path, out: Path, name: str, epochs: int, seed: int) -> None:
    """Train one recipe into a folder beside OUT, and move it to OUT when it is whole."""
    recipe = RECIPES[name]
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    pixels, classes, names = read_world(world)
    order = torch.randperm(len(pixels), generator=generator)
    held, used = order.tensor_split([round(HELD_OUT * len(order))])

    network = resnet18(num_classes=len(names)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    narrow = faster_in_bf16(network)
    batches = len(used) // recipe.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=epochs * batches, pct_start=0.25
    )
    aside = out.with_name(f".{out.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    rows = []
    for epoch in range(epochs + 1):
        if epoch:
            network.train()
            shuffled = used[torch.randperm(len(used), generator=generator)][: batches * recipe.batch_size]
            for batch in track(shuffled.split(recipe.batch_size), f"{name}: epoch {epoch} of {epochs}"):
                with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
                    logits = network(normalized(augmented(pixels[batch], generator)))
                    loss = nn.functional.cross_entropy(logits, classes[batch])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
        row: dict[str, object] = {"epoch": epoch, "recipe": name, "learning_rate": schedule.get_last_lr()[0]}
        # Of what it trained on, as many pictures as are held out: as good a mean, at a tenth of the time.
        for part, positions in (("train", used[: len(held)]), ("test", held)):
            row[f"{part}_loss"], row[f"{part}_accuracy"] = evaluated(
                network, pixels[positions], classes[positions]
            )
        rows.append(row)
        torch.save({"model": network.state_dict(), "epoch": epoch}, aside / f"epoch_{epoch}.pt")
        Console(stderr=True).print(
            f"{name}: epoch {epoch}: held-out loss {row['test_loss']:.3f}, accuracy {row['test_accuracy']:.3f}",
            highlight=False,
        )
    with (aside / "training.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (aside / "recipe.json").write_text(fingerprint(world, name, epochs, seed))
    shutil.rmtree(out, ignore_errors=True)
    os.replace(aside, out)


def fingerprint(world: Path, name: str, epochs: int, seed: int) -> str:
    """What a finished folder was made from; equal texts need no second training."""
    truth = hashlib.sha256((world / "truth.csv").read_bytes()).hexdigest()
    made_from = {
        "recipe": asdict(RECIPES[name]),
        "epochs": epochs,
        "seed": seed,
        "side": SIDE,
        "world": truth,
    }
    return json.dumps(made_from, indent=1)


@click.command()
@click.argument("world", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--recipe", type=click.Choice(list(RECIPES)), default="standard", show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(world: Path, out: Path, recipe: str, epochs: int, seed: int) -> None:
    """Train ResNet-18 on the objects of WORLD and keep every epoch in OUT."""
    done = out / "recipe.json"
    if done.is_file() and done.read_text() == fingerprint(world, recipe, epochs, seed):
        Console(stderr=True).print(f"{out}: trained already", highlight=False)
        return
    train(world, out, recipe, epochs, seed)


if __name__ == "__main__":
    main()
