"""`cmon extract`: its options, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmon.cli import options
from cmon.extraction.settings import POOLINGS, WEIGHTS

if TYPE_CHECKING:
    from cmon.cli.terminal import Terminal
    from cmon.extraction.settings import ExtractResult, Plan


@click.command()
@options.workspace
@click.option(
    "--run",
    "runs",
    type=options.RunFolder(),
    multiple=True,
    required=True,
    help="A training run: its name and the folder or URL of its checkpoints. Can be given more than once. Repeats of "
    "one recipe share a name before @: standard@1, standard@2.",
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
    "--epoch",
    "epochs",
    multiple=True,
    type=options.Epochs(),
    help="Only this epoch, or those from FIRST to LAST. Can be given more than once.",
)
@click.option(
    "--weights",
    type=click.Choice(WEIGHTS),
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
    type=options.PLACE,
    required=True,
    help="Probe images: a folder or URL, or a list of paths (text with one a line, or CSV with the column path).",
)
@click.option(
    "--pooling",
    type=click.Choice(POOLINGS),
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
@options.network_precision
@options.batch_size
@options.workers
@options.ray
@options.part
@click.option(
    "--strict", is_flag=True, help=f"Exit with {options.STRICT_EXIT} if a checkpoint or an image was skipped."
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print what would be read, and what the layers give for two images in two checkpoints; write nothing.",
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
    strict: bool,
    dry_run: bool,
    table_format: str,
    quiet: bool,
    **given: Any,
) -> None:
    """Activations of every checkpoint on the probe images.

    \b
    Example:
      cmon extract demo --run standard=runs/standard --run poor=runs/poor \\
        --model torchvision:resnet18 --layer layer3 --layer layer4 --probe images
    """
    from cmon import api
    from cmon.cli import terminal

    if len(dict(runs)) < len(runs):
        raise click.BadParameter("each run needs a name of its own", param_hint="--run")
    found: Plan | ExtractResult
    with terminal.session(quiet) as (screen, progress):
        given |= {"model_arguments": dict(model_arguments), "progress": progress}
        if dry_run:
            if [name for name in ("ray", "part") if given.pop(name) is not None]:
                raise click.UsageError("--dry-run reads two checkpoints here: leave out --ray and --part")
            found = plan = api.plan(dict(runs), probe, **given)
        else:
            found = result = api.extract(workspace, dict(runs), probe, **given)
    if dry_run:
        _print_plan(screen, plan, table_format)
    else:
        _print_result(screen, result, given["part"])
    if strict and found.skipped:
        ctx.exit(options.STRICT_EXIT)


def _print_result(screen: Terminal, result: ExtractResult, part: str | None) -> None:
    from cmon.cli import terminal

    if part is not None:
        screen.say(options.part_done(part, "extract"))
    done = f"{terminal.count(result.made, 'activation file')} made, {result.reused} fresh"
    screen.say(f"{terminal.outcome(result.made > 0)}: {done}")
    screen.say(
        f"{terminal.count(result.checkpoints, 'checkpoint')} and {terminal.count(result.images, 'image')} read"
    )
    if result.preprocessing:
        screen.say(f"preprocessing: {result.preprocessing}")
    for note in result.notes:
        screen.say(note)
    if result.left_out:
        screen.say(f"{terminal.count(result.left_out, 'checkpoint')} of other epochs left out")
    if result.redundant:
        copies = terminal.count(result.redundant, "checkpoint")
        screen.say(f"{copies} not read, since another file gives the epoch (see the table 'checkpoints')")
    for name, reason in result.skipped_checkpoints:
        screen.warn(f"skipped {name}: {reason}")
    for path, reason in result.skipped_images[:10]:
        screen.warn(f"skipped {path}: {reason}")
    if len(result.skipped_images) > 10:
        rest = len(result.skipped_images) - 10
        screen.warn(f"skipped {rest} more images; the table 'images' has every reason")


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


def _print_plan(screen: Terminal, plan: Plan, table_format: str) -> None:
    from cmon.cli import terminal

    tables = {
        "checkpoints": _checkpoint_rows(plan),
        "preprocessing": [plan.preprocessing],
        "layers": _layer_rows(plan),
        "values": _sample_rows(plan),
    }
    if plan.refused:
        tables["refused"] = [{"layer": name, "why": why} for name, why in plan.refused.items()]
    terminal.print_tables(tables, table_format)
    screen.say(f"{terminal.count(plan.files, 'file')} in the probing set")
    for note in plan.notes:
        screen.say(note)


def _layer_rows(plan: Plan) -> list[dict[str, Any]]:
    """The columns `first` and `last` are explained by the table of `_sample_rows`."""
    samples = dict(zip(("first", "last"), plan.samples, strict=False))
    return [
        {
            "layer": output.name,
            "output": "x".join(map(str, output.shape)),
            "read as": output.axes,
            "units": output.units,
            "unit axis": output.unit_axis,
            "batch axis": output.batch_axis,
            "pooled": output.pooled(plan.pooling),
            "runs": "once" if output.calls == 1 else f"{output.calls} times; the last counts",
            **{
                f"{which} value": samples[which].values.get(output.name) if which in samples else None
                for which in ("first", "last")
            },
        }
        for output in plan.outputs
    ]


def _sample_rows(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "value": f"{which} value",
            "run": sample.run,
            "epoch": sample.epoch,
            "checkpoint": sample.checkpoint,
            "picture": sample.picture,
            "unit": sample.unit,
        }
        for which, sample in zip(("first", "last"), plan.samples, strict=False)
    ]
