"""`cmon embed`: its options, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cmon import devices, options


@click.command()
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
            place, listed, _text_vectors(place, devices.chosen(device)), stage.Settings(**settings), progress
        )
    terminal.say(
        f"{console.made(summary.made)}: {console.count(summary.anchors, 'anchor')} and "
        f"{console.count(summary.placed, 'unit')} placed, {summary.left_out:,} left out (no label)"
    )


def _text_vectors(place: Any, device: str) -> Callable[..., Any]:
    """CLIP's text vectors with the model, precision and templates that `score` used, loaded only if anchors need it."""

    def vectors(parameters: dict[str, Any], texts: list[str]) -> Any:
        from cmon.features import Features

        features = Features(place, parameters["clip"], device, parameters["precision"], 64, 0)
        return features.of_concepts(texts, parameters.get("templates", ())).numpy()

    return vectors
