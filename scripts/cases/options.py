"""The options that the driver and a single training share, and the setup that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from scripts.cases.networks import NARROW, named_network
from scripts.cases.optimizers import build_optimizer
from scripts.cases.setup import Setup

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True)

_OPTIONS = (
    click.option(
        "--data",
        type=FOLDER,
        default=None,
        help="A folder of pictures for each class.  [default: (the drawn world, drawn into OUT/world)]",
    ),
    click.option(
        "--test",
        type=FOLDER,
        default=None,
        help="The same of pictures to test with.  [default: (a tenth of --data, held out)]",
    ),
    click.option(
        "--network",
        default=NARROW,
        show_default=True,
        help=f"One of torchvision's, {NARROW}, or {NARROW}-WIDTH.",
    ),
    click.option(
        "--side",
        type=click.IntRange(min=8),
        default=64,
        show_default=True,
        help="Of the network's input in pixels.",
    ),
    click.option("--epochs", type=click.IntRange(min=1), default=7, show_default=True),
    click.option(
        "--learning-rate",
        type=click.FloatRange(min=0, min_open=True),
        default=1e-3,
        show_default=True,
        help="The peak of a one-cycle schedule in the standard training.",
    ),
    click.option(
        "--optimizer",
        metavar="NAME:OPTION=VALUE,...",
        default="AdamW:weight_decay=0.05,fused=True",
        show_default=True,
        help="One of torch.optim and its options, for example SGD:momentum=0.9,weight_decay=1e-4.",
    ),
    click.option("--batch-size", type=click.IntRange(min=2), default=32, show_default=True),
    click.option(
        "--radius",
        type=click.FloatRange(min=0, max=1, min_open=True),
        default=None,
        help="By how much the adversary may change a value of 0 to 1.  [default: (8/255, or 2/255 in the drawn world)]",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Processes of each training that decode pictures, where these do not fit into memory.",
    ),
)
NAMES = (
    "data",
    "test",
    "network",
    "side",
    "epochs",
    "learning_rate",
    "optimizer",
    "batch_size",
    "radius",
    "workers",
)


def setup_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator: all that a `Setup` is made of, but OUT."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def build_setup(out: Path, given: Mapping[str, Any]) -> Setup:
    """Of the values of `setup_options`. Raises click.UsageError for what cannot be built."""
    setup = Setup(out=out, **given)
    if setup.test and not setup.data:
        raise click.UsageError("--test: the drawn world has its own; give --data, too")
    try:
        network = named_network(setup.network, 2, setup.side)
    except (TypeError, ValueError) as error:
        raise click.UsageError(
            f"--network {setup.network}: expected {NARROW}, {NARROW}-WIDTH or a classifier of torchvision; {error}"
        ) from error
    build_optimizer(setup.optimizer, network.parameters(), setup.learning_rate)
    return setup


def as_typed(setup: Setup, command: click.Command) -> list[str]:
    """The options that make this setup; those that have their default are left out."""
    words = []
    for option in command.params:
        if option.name in NAMES and (value := getattr(setup, option.name)) != option.default:
            words += [option.opts[0], str(value)]
    return words
