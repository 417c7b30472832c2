"""What every table that cmon writes holds, column by column, as Markdown: from the schemas themselves."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from cmon.reporting.tables.catalog import FORMS, TABLES
from cmon.workspace import schemas


@dataclass(frozen=True)
class Described:
    """A table of the workspace."""

    file: str
    """Where it lies in the workspace."""
    schema: pa.Schema
    one_row_per: str


_ANY = 1
"""The width of a vector differs from workspace to workspace; its description does not."""
WORKSPACE = (
    Described("checkpoints.parquet", schemas.CHECKPOINTS, "run, checkpoint"),
    Described("images.parquet", schemas.IMAGES, "probe image"),
    Described("shards.parquet", schemas.SHARDS, "run, layer, epoch: the activation files of the workspace"),
    Described("activations/RUN/LAYER/EPOCH.parquet", schemas.activations(_ANY), "probe image"),
    Described("vocabulary.parquet", schemas.vocabulary(_ANY), "concept"),
    Described("units.parquet", schemas.UNITS, "run, layer, epoch, unit"),
    Described("concepts.parquet", schemas.CONCEPTS, "run, layer, epoch, unit, rank: a unit's best ten"),
    Described(
        "detections.parquet",
        schemas.DETECTIONS,
        "run, layer, epoch, live unit, measure (`cmon score --truth`)",
    ),
    Described("agreement.parquet", schemas.AGREEMENT, "run, layer, epoch, measure (`cmon score --truth`)"),
    Described("layout.parquet", schemas.LAYOUT, "anchor; and run, layer, epoch, unit"),
    Described("fidelity.parquet", schemas.FIDELITY, "layout seed, measure, epoch"),
    Described("costs.parquet", schemas.COSTS, "stage"),
    Described("cache/image-features-*/*.parquet", schemas.image_features(_ANY), "image"),
    Described("cache/text-features-*/*.parquet", schemas.text_features(_ANY), "text"),
)


def tables() -> str:
    """All tables with all their columns."""
    parts = ["## In the workspace\n"]
    parts += [
        _described(f"`{table.file}`", f"A row for each {table.one_row_per}.", table.schema)
        for table in WORKSPACE
    ]
    forms = ", ".join(f".{form}" for form in FORMS)
    parts.append(f"## In its folder `report`\n\nEach table is there as {forms}.\n")
    for table in TABLES:
        said = f"{table.caption} A row for each {table.one_row_per}."
        parts.append(_described(f"`{table.name}`", said, table.schema))
    return "\n".join(parts)


def _described(title: str, said: str, schema: pa.Schema) -> str:
    lines = [f"### {title}", "", said, "", "| column | type | what it holds |", "|---|---|---|"]
    for field in schema:
        words = schemas.meaning(field)
        if field.nullable and "empty" not in words:
            words += "; can be empty"
        lines.append(f"| `{field.name}` | {_kind(field.type)} | {words} |")
    return "\n".join(lines) + "\n"


def _kind(kind: pa.DataType) -> str:
    listed = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
    return f"list of {kind.value_type}" if listed else str(kind)
