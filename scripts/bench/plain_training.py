"""A training as people write them, for `cmon watch` to be tried on: ResNet-18 on the drawn world, an epoch a file.

    python -m scripts.bench.plain_training demo/train runs/standard --images 600 --epochs 8

Saves OUT/epoch_0.pt (the untrained network), epoch_1.pt, ... as they come, and a row of OUT/training.csv beside each.
Prints the seconds of each epoch as JSON.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
import torch
from torch import nn
from torchvision.models import resnet18

from scripts.demo.train_networks import augmented, evaluated, normalized, read_world

BATCH = 32


@click.command()
@click.argument("world", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--images", type=click.IntRange(min=2 * BATCH), default=600, show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--rate", type=float, default=1e-3, show_default=True, help="Of AdamW.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
def main(world: Path, out: Path, images: int, epochs: int, rate: float, threads: int) -> None:
    """Train on the first pictures of WORLD into OUT."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    pixels, classes, names = read_world(world)
    pixels, classes = pixels[:images], classes[:images]
    network = resnet18(num_classes=len(names)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.05)
    out.mkdir(parents=True, exist_ok=True)
    seconds = []
    for epoch in range(epochs + 1):
        start = time.perf_counter()
        if epoch:
            network.train()
            for batch in torch.randperm(len(pixels), generator=generator).split(BATCH):
                loss = nn.functional.cross_entropy(
                    network(normalized(augmented(pixels[batch], generator))), classes[batch]
                )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
            seconds.append(time.perf_counter() - start)
        loss_now, accuracy = evaluated(network, pixels[:200], classes[:200])
        with (out / "training.csv").open("a" if epoch else "w") as file:
            file.write("" if epoch else "epoch,train_loss,train_accuracy\n")
            file.write(f"{epoch},{loss_now:.4f},{accuracy:.4f}\n")
        steps = epoch * -(-len(pixels) // BATCH)
        content = {"model": network.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
        torch.save({**content, "global_step": steps}, out / f"epoch_{epoch}.pt")
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
