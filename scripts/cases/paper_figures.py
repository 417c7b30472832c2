"""Figures 2, 3 and 6 of Concept-Monitor (arXiv 2304.13346), drawn for our runs.

    python -m scripts.cases.paper_figures OUT --figure 2

OUT/training/workspace (figures 2 and 3) or OUT/adversarial/workspace (figure 6) has been reported. Writes PNG and SVG
into OUT/figures. Figure 2: the embedding of a standard run with tracked units, their top images, and the share of
interpretable units by category. Figure 3: the embeddings of a standard run and of a poor one with the same seed.
Figure 6: the most frequent concepts of standard and of adversarial training, over seeds.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import click
import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from cmon.errors import CmonError
from cmon.reporting import inputs, tracking
from cmon.reporting.figures import embedding, interpretable, style, top_images
from cmon.reporting.layers import heads, main_layer
from cmon.reporting.page.build import ImageFiles, load_pictures
from cmon.reporting.tracking import TrackedUnit
from cmon.workspace.files import atomic_write
from cmon.workspace.workspace import Workspace
from scripts.cases.concept_bars import concept_bars
from scripts.cases.paper_claims import POOR, STANDARD
from scripts.cases.results import Results, top_concepts
from scripts.cases.studies import Study, workspace_folder

PAPER_UNITS = (114, 168, 373)
"""Those of layer4 that the paper tracks."""
FIGURES = {"2": "training", "3": "training", "6": "adversarial"}
"""The paper's numbers of those that are drawn, and the study that each is of."""
MOST_CONCEPTS = 10
_PAPERS_COUNTS = "The paper: standard dog 15, car 11, cat 10; adversarial chequered 14, red 13, striped 12."


def names(figure: str, kinds: Sequence[str] = POOR) -> list[str]:
    """Of a figure's files, without their ending. kinds: of poor training that there are runs of."""
    return {
        "2": ["figure-2a", "figure-2b", "figure-2c"],
        "3": [f"figure-3-{kind}" for kind in kinds],
        "6": ["figure-6"],
    }[figure]


@dataclass(frozen=True)
class Training:
    """The study `training`, for one seed."""

    workspace: Workspace
    seed: int
    asked: tuple[int, ...]
    """Units to track; empty for PAPER_UNITS."""

    @cached_property
    def stored(self) -> inputs.StoredTables:
        return inputs.read(self.workspace)

    @cached_property
    def main(self) -> str:
        return main_layer(self.stored.units, self.stored.shards, None)

    @cached_property
    def tracked(self) -> list[TrackedUnit]:
        """Chosen by the standard run."""
        units, places = of_runs(self.stored.units, [self.standard]), self.stored.places
        if self.asked:
            return tracking.requested(units, [(self.main, unit) for unit in self.asked])
        return paper_units(units[units["layer"] == self.main], tracking.choose(units, places, self.main))

    @property
    def standard(self) -> str:
        return Study.run_name(STANDARD, self.seed)

    @property
    def kinds(self) -> list[str]:
        """Of poor training that have a run with this seed."""
        return [kind for kind in POOR if Study.run_name(kind, self.seed) in self.stored.runs]

    def ends(self, table: str, runs: Sequence[str]) -> pd.DataFrame:
        """A report's table at the first and the last epoch of the runs."""
        return at_ends(of_runs(self.workspace.frame(table), runs))

    def embedding(self, runs: Sequence[str]) -> Figure:
        """The main layer's units of the runs (rows) at the first and the last epoch (columns)."""
        units = of_runs(self.stored.places, runs)
        anchors = self.stored.layout[self.stored.layout["kind"] == "anchor"]
        layout = pd.concat([anchors, units[units["layer"] == self.main]], ignore_index=True)
        distances = self.ends("d_anchor", runs)
        distances = distances[distances["layer"] == self.main]
        return embedding.embedding(layout, distances, self.tracked, self.main)

    def top_images(self) -> Figure:
        """Of the tracked units of the standard run."""
        own = at_ends(of_runs(self.stored.units, [self.standard]))
        shown = replace(self.stored, units=own)
        pictures = load_pictures(shown, self.tracked, ImageFiles(shown, self.workspace.root))
        rows = top_images.shown_rows(own, self.standard, self.tracked)
        return top_images.top_images(self.standard, self.tracked, rows, pictures)

    def shares(self) -> Figure:
        """Interpretable units of the standard run by category, a panel for each layer."""
        head = heads(list(self.stored.units["layer"].unique()), self.stored.shards)
        categories, statuses = (
            own[~own["layer"].isin(head)]
            for own in (
                of_runs(self.workspace.frame(name), [self.standard]) for name in ("interpretable", "status")
            )
        )
        return interpretable.interpretable_shares(categories, statuses, self.main)


def paper_units(own: pd.DataFrame, automatic: Iterable[TrackedUnit]) -> list[TrackedUnit]:
    """PAPER_UNITS in a layer of any width: the number modulo the width, or one of `automatic` if that unit is not live.

    own: rows of the table `units` of one run and layer. A unit counts as live if it is so at the first and the last
    epoch.
    """
    layer, width = str(own["layer"].iloc[0]), int(own["unit"].max()) + 1
    ends = at_ends(own)
    out = set(ends.loc[ends["status"] != "ok", "unit"])
    spare = iter(automatic)
    found: list[TrackedUnit] = []
    for number in PAPER_UNITS:
        unit = number % width
        as_here = "" if unit == number else f", modulo the {width} units of {layer}"
        if unit not in out:
            found.append(TrackedUnit(layer, unit, f"the paper's {number}{as_here}"))
            out.add(unit)
        elif other := next((one for one in spare if one.unit not in out), None):
            out.add(other.unit)
            found.append(
                replace(other, reason=f"for the paper's {number}{as_here}, not live: {other.reason}")
            )
    return found


def of_runs(table: pd.DataFrame, runs: Sequence[str]) -> pd.DataFrame:
    """The rows of the runs, in the order of `runs`."""
    return pd.concat([table[table["run"] == run] for run in runs], ignore_index=True)


def at_ends(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of each run's first and last epoch."""
    epochs = table.groupby("run")["epoch"]
    return table[(table["epoch"] == epochs.transform("min")) | (table["epoch"] == epochs.transform("max"))]


def tracked_text(tracked: Sequence[TrackedUnit]) -> str:
    """The small print: which units are tracked, and why."""
    reasons = "; ".join(f"{one.name}: {one.reason}" for one in tracked)
    return f"Tracked: {reasons}." if tracked else "No live unit to track."


def save(folder: Path, name: str, figure: Figure, small_print: str = "") -> None:
    """As PNG and SVG, with lines of small print below all that is drawn."""
    with style.using():
        style.freeze_layout(figure)
        for legend in figure.legends:  # it would follow the lower rim, which the small print moves
            legend.set_bbox_to_anchor((0, 0, 1, 1), figure.transFigure)
        lines = textwrap.wrap(small_print, int(figure.get_figwidth() * 72 / (0.5 * style.SMALL)))
        figure.text(
            0.008, 0, "\n".join(lines), va="top", ha="left", fontsize=style.SMALL, color=style.LIGHT.faint
        )
    for form in ("png", "svg"):
        path = folder / f"{name}.{form}"
        with atomic_write(path) as aside, mpl.rc_context({"savefig.bbox": "tight"}):
            style.save(figure, aside, form)
        click.echo(path)


def draw_figure_2(out: Path, training: Training) -> None:
    words = tracked_text(training.tracked)
    a, b, c = names("2")
    save(out, a, training.embedding([training.standard]), words)
    save(out, b, training.top_images(), words)
    save(out, c, training.shares())


def draw_figure_3(out: Path, training: Training) -> None:
    for kind, name in zip(training.kinds, names("3", training.kinds), strict=True):
        runs = [training.standard, Study.run_name(kind, training.seed)]
        save(out, name, training.embedding(runs), tracked_text(training.tracked))


def draw_figure_6(out: Path, results: Results) -> None:
    tops = {recipe: top_concepts(results, recipe, MOST_CONCEPTS) for recipe in results.recipes}
    seeds = {recipe: len(results.seeds(recipe)) for recipe in results.recipes}
    over = ", ".join(f"{recipe} {count}" for recipe, count in seeds.items())
    words = f"Units at the last epoch: mean over seeds ({over}); lines from least to most. {_PAPERS_COUNTS}"
    save(out, names("6")[0], concept_bars(tops, results.main), words)


@click.command()
@click.argument("out", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--figure",
    "asked",
    type=click.Choice(list(FIGURES)),
    multiple=True,
    help="Only this one. Can be given more than once.  [default: (all whose study is there)]",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the runs in figures 2 and 3.")
@click.option(
    "--unit", "units", type=click.IntRange(min=0), multiple=True, help="Track these in figures 2 and 3."
)
def main(out: Path, asked: tuple[str, ...], seed: int, units: tuple[int, ...]) -> None:
    """Draw the paper's figures for the runs of OUT."""
    there = [figure for figure, study in FIGURES.items() if workspace_folder(out, study).is_dir()]
    figures = list(dict.fromkeys(asked)) or there
    training = Training(Workspace(workspace_folder(out, "training")), seed, units)
    drawings: Mapping[str, Callable[[Path], None]] = {
        "2": lambda folder: draw_figure_2(folder, training),
        "3": lambda folder: draw_figure_3(folder, training),
        "6": lambda folder: draw_figure_6(folder, Results.read(out, "adversarial")),
    }
    try:
        if {"2", "3"} & set(figures) and training.standard not in training.stored.runs:
            raise click.UsageError(
                f"{training.workspace.root}: has no run {training.standard}; expected one of "
                + ", ".join(training.stored.runs)
            )
        for figure in figures:
            drawings[figure](out / "figures")
    except CmonError as error:
        raise click.UsageError(str(error)) from error


if __name__ == "__main__":
    main()
