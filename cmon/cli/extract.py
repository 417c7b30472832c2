"""`cmon extract`: its options, and what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmon import devices
from cmon.cli import options
from cmon.extraction.settings import ExtractResult, Plan

if TYPE_CHECKING:
    from cmon.cli.terminal import Terminal


@click.command()
@options.workspace
@click.option(
    "--run",
    "runs",
    type=options.RunFolder(),
    multiple=True,
    required=True,
    help="A training run: its name and the folder of its checkpoints. Can be given more than once.",
)
@click.option(
    "--model",
    metavar="SPEC",
    required=True,
    help="torchvision:NAME, timm:NAME, or python:MODULE:FACTORY (a module or a .py file).",
)
@click.option(
    "--model-arg",
    "model_arguments",
    type=options.KeyValue(),
    multiple=True,
    help="An argument for the model's builder. The number of classes is read off the checkpoint.",
)
@click.option(
    "--layer",
    "layers",
    metavar="NAME",
    multiple=True,
    help="A layer, or a glob of layers: * stops at a dot, ** does not. Can be given more than once. A dry run "
    "without it shows all.",
)
@click.option(
    "--weights",
    type=click.Choice(["raw", "ema"]),
    default="raw",
    show_default=True,
    help="Which weights of a checkpoint: those that were trained, or their moving average beside them.",
)
@click.option(
    "--trust-pickle",
    is_flag=True,
    help="Run the code that a checkpoint asks for. Only for files whose maker you trust.",
)
@click.option(
    "--probe",
    type=options.FOLDER,
    required=True,
    help="Probe images: a folder, or a list of paths (text with one a line, or CSV with the column path).",
)
@click.option(
    "--pooling",
    type=click.Choice(["avg", "max", "cls"]),
    default="avg",
    show_default=True,
    help="How a unit's map becomes one activation per image.",
)
@click.option(
    "--image-size",
    type=click.IntRange(min=8),
    default=None,
    show_default="as the model's own preprocessing",
    help="Side of the network's input in pixels.",
)
@click.option(
    "--mean",
    type=options.Channels(),
    default=None,
    show_default="as the model's own preprocessing",
    help="Taken from each channel, of values from 0 to 1.",
)
@click.option(
    "--std",
    type=options.Channels(positive=True),
    default=None,
    show_default="as the model's own preprocessing",
    help="Each channel is divided by it.",
)
@options.device
@options.precision
@options.batch_size
@options.workers
@click.option(
    "--strict", is_flag=True, help=f"Exit with {options.STRICT_EXIT} if a checkpoint or an image was skipped."
)
@click.option(
    "--dry-run", is_flag=True, help="Print what would be read, and the layers' shapes; write nothing."
)
@options.table_format
@options.quiet
@click.pass_context
def extract(
    ctx: click.Context,
    workspace: Path,
    runs: tuple[tuple[str, Path], ...],
    probe: Path,
    model_arguments: tuple[tuple[str, Any], ...],
    device: str,
    batch_size: int | None,
    strict: bool,
    dry_run: bool,
    table_format: str,
    quiet: bool,
    **settings: Any,
) -> None:
    """Activations of every checkpoint on the probe images.

    \b
    Example:
      cmon extract demo --run standard=runs/standard --run poor=runs/poor \\
        --model torchvision:resnet18 --layer layer3 --layer layer4 --probe images
    """
    from cmon.cli import terminal as console
    from cmon.extraction import receipts
    from cmon.extraction.settings import ExtractSettings
    from cmon.workspace.workspace import Workspace

    if len(dict(runs)) < len(runs):
        raise click.BadParameter("each run needs a name of its own", param_hint="--run")
    if not (settings["layers"] or dry_run):
        raise click.UsageError("Missing option '--layer'. --dry-run shows the network's layers.")
    settings["layers"] = tuple(dict.fromkeys(settings["layers"]))
    wanted = ExtractSettings(**settings, model_arguments=dict(model_arguments))
    place = Workspace(workspace)
    found: Plan | ExtractResult | None
    with console.terminal(quiet) as terminal, terminal.progress() as progress:
        found = None if dry_run else receipts.unchanged(place, dict(runs), probe, wanted)
        if found is None:
            from cmon.extraction import stage  # and with it torch: two seconds

            where = devices.chosen(device)
            wanted = replace(wanted, device=where, batch_size=devices.batch_size(batch_size, where))
            if dry_run:
                found = stage.plan(dict(runs), probe, wanted, progress)
            else:
                found = stage.extract(place, dict(runs), probe, wanted, progress)
    if isinstance(found, ExtractResult):
        _say_extracted(terminal, found)
    else:
        tables = {"checkpoints": _checkpoint_rows(found), "layers": _layer_rows(found)}
        console.print_tables(tables, table_format)
        terminal.say(f"{console.count(found.files, 'file')} in the probing set")
    if strict and found.skipped:
        ctx.exit(options.STRICT_EXIT)


def _say_extracted(terminal: Terminal, summary: ExtractResult) -> None:
    from cmon.cli import terminal as console

    done = f"{console.count(summary.made, 'activation file')} made, {summary.reused} fresh"
    terminal.say(f"{console.made(summary.made > 0)}: {done}")
    terminal.say(
        f"{console.count(summary.checkpoints, 'checkpoint')} and {console.count(summary.images, 'image')} read"
    )
    if summary.redundant:
        copies = console.count(summary.redundant, "checkpoint")
        terminal.say(f"{copies} not read, since another file gives the epoch (see the table 'checkpoints')")
    for name, reason in summary.skipped_checkpoints:
        terminal.warn(f"skipped {name}: {reason}")
    for path, reason in summary.skipped_images[:10]:
        terminal.warn(f"skipped {path}: {reason}")
    if len(summary.skipped_images) > 10:
        rest = len(summary.skipped_images) - 10
        terminal.warn(f"skipped {rest} more images; the table 'images' has every reason")


def _checkpoint_rows(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "run": run,
            "checkpoint": checkpoint.name,
            "kind": checkpoint.kind,
            "wrapper": checkpoint.wrapper,
            "epoch": checkpoint.epoch,
            "step": checkpoint.step,
            "weights": checkpoint.weights,
            "prefix": checkpoint.prefix,
            "tensors matched": f"{checkpoint.tensors_matched} of {checkpoint.tensors}"
            if checkpoint.tensors
            else None,
            "status": checkpoint.status,
            "error": checkpoint.error,
        }
        for run, checkpoint in plan.checkpoints
    ]


def _layer_rows(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "layer": output.name,
            "output": "x".join(map(str, output.shape)),
            "read as": output.axes,
            "units": output.units,
        }
        for output in plan.outputs
    ]
