"""The tables of the report: one list with the name, the schema, the caption and the maker of each.

The list drives what is written, whether a report is fresh, and the reference of the tables in docs/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa

from cmon.reporting.epochs import last_epochs
from cmon.reporting.inputs import StoredTables
from cmon.reporting.origins import origin
from cmon.reporting.record import Record
from cmon.reporting.tables import (
    comparison,
    counts,
    d_anchor,
    differences,
    diversity,
    formats,
    latex,
    movement,
    seed_comparison,
    seeds,
)
from cmon.reporting.training_log import TRAINING
from cmon.workspace import schemas
from cmon.workspace.keys import GROUP
from cmon.workspace.workspace import Workspace

FORMS = ("csv", "parquet", "md", "tex")
_MOST_CONCEPTS = 12
"""Rows of a run and layer that are printed; CSV and Parquet hold all."""
_MOST_UNITS = 20
"""Rows that are printed of units of all runs and layers."""


@dataclass(frozen=True)
class TableInputs:
    """What the tables are made from."""

    stored: StoredTables
    seed: int
    """Of the bootstrap."""
    confidence: float
    """Of its intervals."""
    training: pd.DataFrame
    """`training_log.TRAINING`; no rows without `--metrics`."""
    made: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """The tables before this one in TABLES, by name."""


@dataclass(frozen=True)
class ReportTable:
    """One table, written as all of FORMS."""

    name: str
    """Of its files."""
    schema: pa.Schema
    one_row_per: str
    caption: str
    """What it holds, with the units of its numbers; above it in Markdown and LaTeX."""
    make: Callable[[TableInputs], pd.DataFrame]
    printed: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame
    """Picks the rows and columns that are printed as Markdown and LaTeX; all by default."""


def _most_frequent(table: pd.DataFrame) -> pd.DataFrame:
    return last_epochs(table).groupby(GROUP, sort=False).head(_MOST_CONCEPTS)


def _differing(table: pd.DataFrame) -> pd.DataFrame:
    sides = ["run", "epoch", "share", "other_run", "other_epoch", "other_share"]
    columns = ["layer", "kind", "name", *sides, "q_value"]
    return table.loc[table["differs"], columns].sort_values("q_value", kind="stable")


def _latest(table: pd.DataFrame) -> pd.DataFrame:
    """The last epoch of each pair of runs."""
    return (
        table.groupby(["reference", "run", "layer"], sort=False)
        .tail(1)
        .drop(columns=["n_reference", "n_run"])
    )


def _longest(table: pd.DataFrame) -> pd.DataFrame:
    longest = table.sort_values("path_length", ascending=False, kind="stable").head(_MOST_UNITS)
    return longest.drop(columns=["straightness", "category"])


def _over_all_epochs(table: pd.DataFrame) -> pd.DataFrame:
    return table.loc[table["epoch"].isna(), ["measure", "value"]]


def _last_known(table: pd.DataFrame) -> pd.DataFrame:
    """Of `seeds` or `seed_comparison`: the last epoch that most runs have, without what no run has."""
    known = "mean" if "mean" in table else "difference"
    return seeds.last_shared(table).dropna(subset=[known])


_CLIP_CHANGES = ["change_clip", "change_clip_low", "change_clip_high"]
_IN_THE_PLANE = "in the plane (1 is the anchors' RMS distance from their centroid)"
TABLES = (
    ReportTable(
        "d_anchor",
        d_anchor.D_ANCHOR,
        "run, layer, epoch",
        f"Mean distance from the live units to their nearest anchor, {_IN_THE_PLANE} and in CLIP's text space (0 to "
        "2), and its change since the first epoch, over the same units, with bootstrap intervals over units.",
        lambda inputs: d_anchor.d_anchor(
            inputs.stored.units, inputs.stored.places, inputs.seed, inputs.confidence
        ),
        lambda table: table.drop(columns=["n_live", "n_paired", "on_anchors", *_CLIP_CHANGES]),
    ),
    ReportTable(
        "comparison",
        comparison.COMPARISON,
        "two runs, layer, epoch",
        f"Difference in d_anchor between two runs, {_IN_THE_PLANE} and in CLIP's text space, with bootstrap intervals "
        "over units, at the last epoch of both; d_prime is in standard deviations between units.",
        lambda inputs: comparison.comparison(
            inputs.stored.units, inputs.stored.places, inputs.seed, inputs.confidence
        ),
        _latest,
    ),
    ReportTable(
        "interpretable",
        counts.INTERPRETABLE,
        "run, layer, epoch, category",
        "Interpretable units by the category of their label at each run's last epoch; shares are of all units of the "
        "layer (0 to 1).",
        lambda inputs: counts.category_counts(inputs.stored.units),
        last_epochs,
    ),
    ReportTable(
        "concept_counts",
        counts.CONCEPT_COUNTS,
        "run, layer, epoch, concept",
        f"How many interpretable units carry each label: the {_MOST_CONCEPTS} most frequent of each layer at each "
        "run's last epoch; shares are of all units of the layer (0 to 1).",
        lambda inputs: counts.concept_counts(inputs.stored.units),
        _most_frequent,
    ),
    ReportTable(
        "concept_differences",
        differences.CONCEPT_DIFFERENCES,
        "layer, concept or category, run",
        "Concepts and categories that a run and another (or a run and its first epoch) carry to different shares of "
        "units (0 to 1) beyond chance: Fisher's exact test, false discovery rate 5 % over all of them.",
        lambda inputs: differences.concept_differences(inputs.stored.units),
        _differing,
    ),
    ReportTable(
        "movement",
        movement.MOVEMENT,
        "run, layer, epoch",
        f"How far units move {_IN_THE_PLANE}, and how many of them become interpretable, cease to be, or change their "
        "label.",
        lambda inputs: movement.layer_movement(inputs.stored.units, inputs.stored.places),
        lambda table: table.drop(columns=["labels", "entropy"]),
    ),
    ReportTable(
        "unit_movement",
        movement.UNIT_MOVEMENT,
        "run, layer, unit",
        f"What each unit did over all epochs, {_IN_THE_PLANE}: the {_MOST_UNITS} with the longest trajectories.",
        lambda inputs: movement.unit_movement(inputs.stored.units, inputs.stored.places),
        _longest,
    ),
    ReportTable(
        "diversity",
        diversity.DIVERSITY,
        "run, layer, epoch",
        "How many different things the interpretable units of a layer detect, and how far its units share their most "
        "activating images (overlap, and by chance); entropy in bits, shares from 0 to 1.",
        lambda inputs: diversity.layer_diversity(
            inputs.stored.units, inputs.stored.layout, inputs.stored.scores
        ),
        lambda table: table.drop(columns=["n_interpretable", "n_anchors", "n_units"]),
    ),
    ReportTable(
        "seeds",
        seeds.SEEDS,
        "recipe, layer, epoch, measure",
        "Runs that share a name before @ as repeats of one recipe: mean, standard deviation and change since the first "
        "epoch over these runs, with Student's intervals over runs, at the last epoch that most of them have. Each "
        "interval holds by itself. No rows where no recipe has two runs.",
        lambda inputs: seeds.seeds(seeds.run_measures(inputs.made), inputs.confidence),
        _last_known,
    ),
    ReportTable(
        "seed_comparison",
        seed_comparison.SEED_COMPARISON,
        "two recipes, layer, epoch, measure",
        "Difference of the means of two recipes with at least two runs each, with Welch's intervals over runs, at the "
        "last epoch that most of them have. Each interval holds by itself.",
        lambda inputs: seed_comparison.seed_comparison(seeds.run_measures(inputs.made), inputs.confidence),
        _last_known,
    ),
    ReportTable(
        "status",
        counts.STATUS,
        "run, layer, epoch",
        "Units by status.",
        lambda inputs: counts.status_counts(inputs.stored.units),
    ),
    ReportTable(
        "fidelity",
        schemas.FIDELITY,
        "layout seed, measure, epoch",
        "How far the plane keeps what CLIP's space says, over all epochs; none of the measures has a unit.",
        lambda inputs: inputs.stored.fidelity,
        _over_all_epochs,
    ),
    ReportTable(
        "training",
        TRAINING,
        "run, epoch, metric",
        "What the training program logged, in the metrics' own units.",
        lambda inputs: inputs.training,
    ),
    ReportTable(
        "costs",
        schemas.COSTS,
        "stage",
        "What each stage cost when it last did anything (MB: 10^6 bytes).",
        lambda inputs: inputs.stored.costs,
    ),
)


def table_paths(folder: Path) -> list[Path]:
    """All files that `write_tables` makes."""
    return [folder / f"{table.name}.{form}" for table in TABLES for form in FORMS]


def make_tables(inputs: TableInputs) -> dict[str, pd.DataFrame]:
    """Every table by name."""
    made: dict[str, pd.DataFrame] = {}
    for table in TABLES:
        made[table.name] = table.make(replace(inputs, made=made))
    return made


def write_tables(workspace: Workspace, record: Record, made: Mapping[str, pd.DataFrame]) -> None:
    """Write every table, in every form, that is not there as it would be written."""
    for table in TABLES:
        rows = made[table.name]
        own = origin(table.name, rows, table.caption, schemas.VERSION)
        files = {form: workspace.report / f"{table.name}.{form}" for form in FORMS}
        if all(record.has(file, own) for file in files.values()):
            continue
        whole, printed = _arrow(rows, table.schema), _arrow(table.printed(rows), table.schema)
        texts = {
            "csv": formats.csv(whole),
            "md": formats.markdown(printed, table.caption),
            "tex": latex.latex(printed, table.name, table.caption),
        }
        record.write_table(files["parquet"], whole, own)
        for form, text in texts.items():
            record.write(files[form], text.encode(), own)
    record.save()


def _arrow(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    kept = pa.schema([field for field in schema if field.name in frame.columns])
    return pa.Table.from_pandas(frame, schema=kept, preserve_index=False)
