"""The commands. Each reads its options, calls one stage and says what came of it.

Heavy imports (torch, open_clip, umap, matplotlib) happen inside the commands: `cmon --help` must answer
at once, and `extract` and `score` must run where umap-learn is not installed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import cmon
from cmon import options
from cmon.errors import CmonError

if TYPE_CHECKING:
    from cmon.console import Terminal
    from cmon.extract import Summary

STRICT_EXIT = 3
INTERRUPTED_EXIT = 130


class Commands(click.Group):
    """Turns an error that a user can act on into a message and exit code 1, and Ctrl-C into a word of comfort."""

    def invoke(self, ctx: click.Context) -> Any:
        from cmon.console import Terminal

        try:
            return super().invoke(ctx)
        except CmonError as error:
            Terminal(quiet=False).error(str(error))
            ctx.exit(1)
        except KeyboardInterrupt:
            Terminal(quiet=False).error(
                "interrupted; what was finished is kept, and the same command goes on from there"
            )
            ctx.exit(INTERRUPTED_EXIT)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["extract", "score", "embed", "report"]  # in the order in which they are run


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(cmon.__version__, prog_name="cmon")
def main() -> None:
    """See what the neurons of an image network learn while it trains.

    Four stages work on one WORKSPACE folder, in this order: extract, score, embed, report. Each does only
    what is missing or stale.
    """


@main.command()
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
    required=True,
    help="A layer, or a glob of layers: * stops at a dot, ** does not. Can be given more than once.",
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
    "--strict", is_flag=True, help=f"Exit with {STRICT_EXIT} if a checkpoint or an image was skipped."
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
    from cmon import console
    from cmon import extract as stage
    from cmon.store import Workspace

    if len(dict(runs)) < len(runs):
        raise click.BadParameter("each run needs a name of its own", param_hint="--run")
    where = _device(device)
    wanted = stage.Settings(
        **{**settings, "layers": tuple(dict.fromkeys(settings["layers"]))},
        model_arguments=dict(model_arguments),
        device=where,
        batch_size=_batch_size(batch_size, where),
    )
    with console.terminal(quiet) as terminal, terminal.progress() as progress:
        if dry_run:
            summary = stage.plan(dict(runs), wanted, progress)
        else:
            summary = stage.extract(Workspace(workspace), dict(runs), probe, wanted, progress)
    if dry_run:
        console.print_table(_checkpoint_rows(summary), table_format, "Checkpoints")
        console.print_table(_layer_rows(summary), table_format, "Layers")
    else:
        _say_extracted(terminal, summary)
    if strict and summary.skipped:
        ctx.exit(STRICT_EXIT)


@main.command()
@options.workspace
@options.clip
@click.option(
    "--concepts",
    type=options.FILE,
    required=True,
    help="Concepts: a text file, one a line, or CSV with the columns concept,category.",
)
@click.option(
    "--similarity",
    type=click.Choice(["soft_wpmi", "wpmi", "rank_reorder", "cos_similarity", "cos_similarity_cubed"]),
    default="soft_wpmi",
    show_default=True,
    help="How evidence of a concept is measured: CLIP-Dissect's five functions with its parameters.",
)
@click.option(
    "--prior",
    type=click.Choice(["null", "standardized", "layer"]),
    default="null",
    show_default=True,
    help="What is taken from a concept's evidence: what it gets from random image orders (null; standardized "
    "divides by its spread too), or as in CLIP-Dissect what the layer's own units give it, for soft_wpmi and "
    "wpmi, and else nothing (layer; scores of two epochs cannot be compared).",
)
@click.option(
    "--fdr",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Share of false ones among the units called interpretable.",
)
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    default=None,
    show_default="100 for soft_wpmi, 28 for wpmi",
    help="Images that speak for a unit; only soft_wpmi and wpmi have a fixed number.",
)
@click.option(
    "--pseudo-units",
    type=click.IntRange(min=19),
    default=4096,
    show_default=True,
    help="Random image orders that the null is made of.",
)
@options.device
@options.precision
@options.batch_size
@options.workers
@options.seed
@options.quiet
def score(
    workspace: Path,
    clip_spec: str,
    concepts: Path,
    similarity: str,
    top_k: int | None,
    device: str,
    precision: str,
    batch_size: int | None,
    workers: int,
    quiet: bool,
    **settings: Any,
) -> None:
    """The concept that each unit detects at each epoch.

    \b
    Example:
      cmon score demo --clip ViT-B-16:openai --concepts data/concepts/world.csv
    """
    from cmon import concepts as concept_lists
    from cmon import console
    from cmon import score as stage
    from cmon.features import Features
    from cmon.similarity import FUNCTIONS
    from cmon.store import Workspace

    if top_k and similarity not in ("soft_wpmi", "wpmi"):
        raise click.BadParameter(f"{similarity} has no fixed number of top images", param_hint="--top-k")
    function = FUNCTIONS[similarity](**({"top_k": top_k} if top_k else {}))
    with console.terminal(quiet) as terminal, terminal.progress() as progress:
        listed = concept_lists.read(concepts)
        place = Workspace(workspace)
        place.read("shards")  # before a large CLIP is loaded for nothing
        where = _device(device)
        features = Features(place, clip_spec, where, precision, _batch_size(batch_size, where), workers)
        wanted = stage.Settings(similarity=function, device=where, **settings)
        summary = stage.score(place, listed, features, wanted, progress)
    statuses = ", ".join(f"{number:,} {status}" for status, number in summary.statuses.items())
    terminal.say(
        f"{_made(summary.made)}: {summary.units:,} units ({statuses}), {summary.concepts:,} concepts"
    )
    terminal.say(
        f"{summary.interpretable:,} units are interpretable at a false discovery rate of {settings['fdr']:g}"
    )


@main.command()
@options.workspace
@click.option(
    "--anchors",
    type=options.FILE,
    default=None,
    show_default="all scored concepts that have a category",
    help="Concepts of interest, in the same form as --concepts.",
)
@click.option(
    "--perplexity",
    type=click.FloatRange(min=1, min_open=True),
    default=2.0,
    show_default=True,
    help="Anchors that effectively share an anchor's own place: larger draws units further inward.",
)
@options.device
@options.seed
@options.quiet
def embed(workspace: Path, anchors: Path | None, device: str, quiet: bool, **settings: Any) -> None:
    """One plane for all units of all epochs and runs, and the anchors.

    \b
    Example:
      cmon embed demo --anchors data/concepts/world_anchors.csv
    """
    from cmon import concepts as concept_lists
    from cmon import console
    from cmon import embed as stage
    from cmon.store import Workspace

    with console.terminal(quiet) as terminal, terminal.progress() as progress:
        place = Workspace(workspace)
        listed = concept_lists.read(anchors) if anchors else None
        summary = stage.embed(
            place, listed, _text_vectors(place, _device(device)), stage.Settings(**settings), progress
        )
    terminal.say(
        f"{_made(summary.made)}: {console.count(summary.anchors, 'anchor')} and "
        f"{console.count(summary.placed, 'unit')} placed, {summary.left_out:,} left out (no label)"
    )


@main.command()
@options.workspace
@click.option(
    "--track",
    type=options.TrackedUnit(),
    multiple=True,
    show_default="three units, chosen and said why",
    help="A unit to follow through the epochs; can be given more than once.",
)
@options.seed
@options.table_format
@options.quiet
def report(
    workspace: Path, track: tuple[tuple[str, int], ...], seed: int, table_format: str, quiet: bool
) -> None:
    """Tables, figures and a page of what the neurons learned.

    \b
    Example:
      cmon report demo --track layer4:114 --track layer4:168
    """
    from cmon import console
    from cmon import report as stage
    from cmon.store import Workspace

    with console.terminal(quiet) as terminal, terminal.progress() as progress:
        summary = stage.report(Workspace(workspace), stage.Settings(track, seed), progress)
    rows = summary.d_anchor.to_pylist()
    for row in rows:
        row["epoch"] = int(row["epoch"]) if row["epoch"].is_integer() else row["epoch"]
    console.print_table(rows, table_format, "d_anchor")
    for subject, finding in summary.findings:
        terminal.say(f"{subject}: {finding}")
    terminal.say(f"{_made(summary.made)}: {summary.page}")


def _device(name: str) -> str:
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[name]:
        raise CmonError(
            f"--device {name}: there is none on this machine",
            found="devices: " + ", ".join(device for device, here in there.items() if here),
            hint="use --device auto",
        )
    return name


def _batch_size(given: int | None, device: str) -> int:
    """A few images at a time keep a network's maps in a processor's cache; a GPU wants many at once."""
    return given or (8 if device == "cpu" else 64)


def _text_vectors(place: Any, device: str) -> Callable[..., Any]:
    """CLIP's text vectors with the model and precision that `score` used, loaded only if anchors need it."""

    def vectors(parameters: dict[str, Any], texts: list[str]) -> Any:
        from cmon.features import Features

        features = Features(place, parameters["clip"], device, parameters["precision"], 64, 0)
        return features.of_texts(texts).numpy()

    return vectors


def _made(made: bool) -> str:
    return "done" if made else "nothing to do, all is fresh"


def _say_extracted(terminal: Terminal, summary: Summary) -> None:
    from cmon.console import count

    read = sum(checkpoint.error is None for _, checkpoint in summary.checkpoints)
    done = f"{count(summary.made, 'activation file')} made, {summary.reused} fresh"
    terminal.say(f"{_made(summary.made > 0)}: {done}")
    terminal.say(f"{count(read, 'checkpoint')} and {count(summary.images, 'image')} read")
    for run, checkpoint in summary.checkpoints:
        if checkpoint.error:
            terminal.warn(f"skipped {run}/{checkpoint.name}: {checkpoint.error}")
    for path, reason in summary.skipped_images[:10]:
        terminal.warn(f"skipped {path}: {reason}")
    if len(summary.skipped_images) > 10:
        rest = len(summary.skipped_images) - 10
        terminal.warn(f"skipped {rest} more images; the table 'images' has every reason")


def _checkpoint_rows(summary: Summary) -> list[dict[str, Any]]:
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
            "keys matched": f"{checkpoint.keys_matched} of {checkpoint.keys}" if checkpoint.keys else None,
            "status": checkpoint.status,
            "error": checkpoint.error,
        }
        for run, checkpoint in summary.checkpoints
    ]


def _layer_rows(summary: Summary) -> list[dict[str, Any]]:
    return [
        {
            "layer": output.name,
            "output": "x".join(map(str, output.shape)),
            "read as": output.layout,
            "units": output.units,
        }
        for output in summary.outputs
    ]


if __name__ == "__main__":
    main()
