"""The tables of the report: one list says what each is called, holds and means, and how it is made.

The list drives what is written, whether a report is fresh, and the README's description of the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from cmon import counts, differences, latex, measures, report_schemas, text
from cmon.frames import Frames
from cmon.schemas import meaning
from cmon.store import Workspace, written_whole

FORMS = ("csv", "parquet", "md", "tex")
_MOST_CONCEPTS = 12
"""Of a run and layer in a table to be printed; CSV and Parquet hold all."""


@dataclass(frozen=True)
class Sources:
    """What the tables are made from."""

    frames: Frames
    seed: int
    """Of the bootstrap."""
    confidence: float
    """Of its intervals."""
    training: pd.DataFrame
    """report_schemas.TRAINING; no rows without `--metrics`."""


@dataclass(frozen=True)
class ReportTable:
    """One table, written as all of FORMS."""

    name: str
    """Of its files."""
    schema: pa.Schema
    one_row_per: str
    caption: str
    """What it tells, with the units of its numbers: stands over it in Markdown and LaTeX."""
    make: Callable[[Sources], pd.DataFrame]
    printed: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame
    """The rows and columns to be printed as Markdown and LaTeX, if these are not all."""


def _frequent(found: pd.DataFrame) -> pd.DataFrame:
    last = measures.last_epochs(found)
    return last.groupby(measures.GROUP, sort=False).head(_MOST_CONCEPTS)


def _differing(table: pd.DataFrame) -> pd.DataFrame:
    columns = [
        "layer",
        "kind",
        "name",
        "run",
        "epoch",
        "share",
        "other_run",
        "other_epoch",
        "other_share",
        "q_value",
    ]
    return table.loc[table["differs"], columns].sort_values("q_value", kind="stable")


TABLES = (
    ReportTable(
        "d_anchor",
        report_schemas.D_ANCHOR,
        "run, layer, epoch",
        "Mean distance from the live units to their nearest anchor, in the plane (d_anchor; 1 is the anchors' RMS "
        "distance from their centroid) and in CLIP's text space (d_anchor_clip; 0 to 2), with bootstrap intervals.",
        lambda it: measures.d_anchor(it.frames.units, it.frames.places, it.seed, it.confidence),
    ),
    ReportTable(
        "interpretable",
        report_schemas.INTERPRETABLE,
        "run, layer, epoch, category",
        "Interpretable units by the category of their label at each run's last epoch; shares are of all units of the "
        "layer (0 to 1).",
        lambda it: counts.category_counts(it.frames.units),
        measures.last_epochs,
    ),
    ReportTable(
        "concept_counts",
        report_schemas.CONCEPT_COUNTS,
        "run, layer, epoch, concept",
        f"How many interpretable units carry each label, the {_MOST_CONCEPTS} most frequent of each run and layer at "
        "the last epoch; shares are of all units of the layer (0 to 1).",
        lambda it: counts.concept_counts(it.frames.units),
        _frequent,
    ),
    ReportTable(
        "concept_differences",
        report_schemas.CONCEPT_DIFFERENCES,
        "layer, concept or category, run",
        "Concepts and categories that a run and another (or a run and its first epoch) carry to different shares of "
        "units beyond chance: Fisher's exact test, false discovery rate 5 % over all of them.",
        lambda it: differences.concept_differences(it.frames.units),
        _differing,
    ),
    ReportTable(
        "movement",
        report_schemas.MOVEMENT,
        "run, layer, epoch",
        "How far units move in the plane (1 is the anchors' RMS distance from their centroid), and how many become, "
        "cease to be or change what they are called.",
        lambda it: measures.movement(it.frames.units, it.frames.places),
    ),
    ReportTable(
        "status",
        report_schemas.STATUS,
        "run, layer, epoch",
        "Units by status.",
        lambda it: counts.status_counts(it.frames.units),
    ),
    ReportTable(
        "training",
        report_schemas.TRAINING,
        "run, epoch, metric",
        "What the training program logged, in the metrics' own units.",
        lambda it: it.training,
    ),
    ReportTable(
        "costs",
        report_schemas.COSTS,
        "stage",
        "What each stage cost when it last did anything.",
        lambda it: it.frames.costs.reindex(columns=report_schemas.COSTS.names),
    ),
)


def paths(folder: Path) -> list[Path]:
    """All files that `write` makes."""
    return [folder / f"{table.name}.{form}" for table in TABLES for form in FORMS]


def make(sources: Sources) -> dict[str, pd.DataFrame]:
    """Every table by name."""
    return {table.name: table.make(sources) for table in TABLES}


def write(workspace: Workspace, made: Mapping[str, pd.DataFrame], key: str) -> None:
    """Write every table in every form."""
    for one in TABLES:
        table, printed = (_table(rows, one.schema) for rows in (made[one.name], one.printed(made[one.name])))
        workspace.write(workspace.report / f"{one.name}.parquet", table, key)
        texts = {
            "csv": text.csv(table),
            "md": text.markdown(printed, one.caption),
            "tex": latex.latex(printed, one.name, one.caption),
        }
        for form, content in texts.items():
            write_bytes(workspace, f"{one.name}.{form}", content.encode())


def write_bytes(workspace: Workspace, name: str, content: bytes) -> None:
    """A file of the report."""
    with written_whole(workspace.report / name) as aside:
        aside.write_bytes(content)
    workspace.written_bytes += len(content)


def _table(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    kept = pa.schema([field for field in schema if field.name in frame.columns])
    return pa.Table.from_pandas(frame, schema=kept, preserve_index=False)


def described(schema: pa.Schema) -> str:
    """A Markdown table of a schema's columns: name, type and what it holds."""
    lines = ["| column | type | what it holds |", "|---|---|---|"]
    for field in schema:
        words = meaning(field) + (
            " *(can be empty)*" if field.nullable and "empty" not in meaning(field) else ""
        )
        lines.append(f"| `{field.name}` | {_type_name(field.type)} | {words} |")
    return "\n".join(lines) + "\n"


def _type_name(kind: pa.DataType) -> str:
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return f"list of {kind.value_type}"
    return str(kind)
