"""Command-line options that more than one command takes, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from cmon.devices import DEVICES, NETWORK_PRECISIONS, PRECISIONS
from cmon.storage.urls import is_url


class Place(click.Path):
    """A path, or a URL, which stays text: a path has no two slashes side by side."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if is_url(value) else super().convert(value, param, ctx)


FOLDER = click.Path(path_type=Path)
PLACE = Place(path_type=Path)
FILE = click.Path(path_type=Path, dir_okay=False)
STRICT_EXIT = 3
"""Done, but some inputs were skipped under `--strict`."""


class RunFolder(click.ParamType):
    """`NAME=FOLDER`: a run's name, as it will stand in tables and figures, and its checkpoints' folder or URL."""

    name = "NAME=FOLDER"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path | str]:
        if isinstance(value, tuple):
            return value
        name, equals, folder = value.partition("=")
        if not (name.strip() and equals and folder):
            self.fail(f"{value!r} is not NAME=FOLDER, for example standard=runs/standard", param, ctx)
        if name in (".", "..") or "/" in name:
            self.fail(f"the run's name {name!r} cannot be a path", param, ctx)
        if len(quote(name, safe=" ._-")) > 255:
            self.fail(f"the run's name {name[:40]!r}... is too long for a folder", param, ctx)
        return name, folder if is_url(folder) else Path(folder).expanduser()


class RunFile(click.ParamType):
    """`RUN=FILE`: a file that belongs to a run."""

    name = "RUN=FILE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path]:
        if isinstance(value, tuple):
            return value
        run, equals, file = value.partition("=")
        if not (run and equals and file):
            self.fail(
                f"{value!r} is not RUN=FILE, for example standard=runs/standard/training.csv", param, ctx
            )
        return run, Path(file).expanduser()


class KeyValue(click.ParamType):
    """`key=value`; numbers, true, false and none are read as such."""

    name = "KEY=VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        if not (key.isidentifier() and equals):
            self.fail(f"{value!r} is not KEY=VALUE, for example num_classes=10", param, ctx)
        words = {"true": True, "false": False, "none": None}
        if text.lower() in words:
            return key, words[text.lower()]
        for number in (int, float):
            try:
                return key, number(text)
            except ValueError:
                continue
        return key, text


class Channels(click.ParamType):
    """Three numbers, for red, green and blue, with commas between; one number stands for all three."""

    name = "R,G,B"

    def __init__(self, positive: bool = False) -> None:
        self.positive = positive

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, float]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = [float(number) for number in value.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) == 1:
            numbers *= 3
        if len(numbers) != 3:
            self.fail(f"{value!r} is not R,G,B, for example 0.485,0.456,0.406", param, ctx)
        if self.positive and min(numbers) <= 0:
            self.fail(f"{value!r}: every number must be above 0", param, ctx)
        return numbers[0], numbers[1], numbers[2]


class TrackedUnit(click.ParamType):
    """`LAYER:UNIT`."""

    name = "LAYER:UNIT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        layer, _, unit = value.rpartition(":")
        if not (layer and unit.isdecimal()):
            self.fail(f"{value!r} is not LAYER:UNIT, for example layer4:114", param, ctx)
        return layer, int(unit)


class Template(click.ParamType):
    """A sentence with one `{}`, in which a concept is put."""

    name = "TEXT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value.count("{}") != 1:
            self.fail(
                f"{value!r} must have {{}} just once, where the concept goes: 'a photo of a {{}}'", param, ctx
            )
        return value


class Epochs(click.ParamType):
    """`8`, or `0:8`: an epoch, or those from the first to the last, both included."""

    name = "EPOCH|FIRST:LAST"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        first, colon, last = value.partition(":")
        try:
            low, high = float(first), float(last if colon else first)
        except ValueError:
            self.fail(f"{value!r} is not an epoch, or FIRST:LAST, for example 0:8", param, ctx)
        if not low <= high:
            self.fail(f"{value!r}: the first epoch comes after the last", param, ctx)
        return low, high


workspace = click.argument("workspace", type=PLACE)

device = click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Where networks run; auto takes a GPU if there is one.",
)
precision = click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="fp32",
    show_default=True,
    help="Arithmetic of the networks. bf16 is faster on processors and GPUs that have it.",
)
network_precision = click.option(
    "--precision",
    type=click.Choice(NETWORK_PRECISIONS),
    default="fp32",
    show_default=True,
    help="Arithmetic of the networks. bf16 is faster on processors and GPUs that have it; tf32 is float32 with "
    "products of 10 bits of mantissa, on CUDA alone.",
)
batch_size = click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=None,
    show_default="8 on a CPU, as its memory allows on a GPU",
    help="Images at a time.",
)
workers = click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=None,
    show_default="number of cores, at most 8",
    help="Processes that decode images.",
)
images = click.option(
    "--images",
    type=PLACE,
    default=None,
    show_default="where they were, or where they were seen from the workspace",
    help="The folder where the probe images are now, if they were moved since `cmon extract`.",
)
seed = click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Seed of everything that is random.",
)
ray = click.option(
    "--ray",
    metavar="ADDRESS",
    default=None,
    show_default="this process does all",
    help="A Ray cluster that does the work: auto (the one that this machine is part of), local (this machine alone), "
    "or the head's HOST:PORT. Workspace and inputs must lie on storage that all machines share, or in a store (s3://).",
)
part = click.option(
    "--part",
    metavar="I/N",
    default=None,
    show_default="all of it",
    help="Do the I-th of N shares only, and write no table: for N programs at once, as of a Slurm array. When all are "
    "done, the same command without it writes the tables.",
)
quiet = click.option("--quiet", is_flag=True, help="No progress and no summary; errors and warnings only.")
table_format = click.option(
    "--format",
    "table_format",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="How the table on standard output is written.",
)


def clip(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--clip`, for the commands that embed texts or images."""
    return click.option(
        "--clip",
        metavar="SPEC",
        default="ViT-B-16:openai",
        show_default=True,
        help="open_clip's NAME:PRETRAINED, hf-hub:ORG/NAME, local-dir:FOLDER, or python:MODULE:FACTORY.",
    )(command)


def part_done(part: str, command: str) -> str:
    """What to say after a part of a command, in front of what it did."""
    return f"part {part}; when all parts are done, run the same `cmon {command}` without --part: it writes the tables"
