"""What every table that cmon writes holds, column by column, as Markdown: from the schemas themselves."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from cmon.reporting import record
from cmon.reporting.page import thumbnail_cache
from cmon.reporting.tables.catalog import FORMS, TABLES
from cmon.workspace import schemas
from cmon.workspace.tables import KINDS, LISTED_IN


@dataclass(frozen=True)
class Described:
    """A table of the workspace."""

    file: str
    """Where it lies in the workspace."""
    schema: pa.Schema
    one_row_per: str


_ANY = 1
"""The width of a vector differs from workspace to workspace; its description does not."""
_CACHED = (
    Described("cache/image-features-*/*.parquet", schemas.image_features(_ANY), "probe image"),
    Described("cache/text-features-*/*.parquet", schemas.text_features(_ANY), "text"),
    Described(
        "cache/pieces/*.parquet",
        schemas.activations(_ANY),
        "probe image of a piece of a checkpoint (`--ray`)",
    ),
    Described(
        "cache/pixels-*.parquet", schemas.PIXELS, "probe image: its pixels are in the file `.bin` beside it"
    ),
    Described("cache/shared-*.parquet", schemas.SHARED, "array that all scorings of the same concepts share"),
    Described(
        "cache/top-images-*.parquet",
        schemas.TOP_IMAGES,
        "unit of one run, layer and epoch, for its labels; kept where there are 1,024 images or more",
    ),
    Described("cache/thumbnails.parquet", thumbnail_cache.THUMBNAILS, "probe image that the page shows"),
    Described("report/files.parquet", record.FILES, "figure, table and page of the report"),
)


def workspace() -> list[Described]:
    """All tables of a workspace."""
    found = []
    for name, kind in KINDS.items():
        file = f"{name}/RUN/LAYER/EPOCH.parquet" if name in LISTED_IN else f"{name}.parquet"
        of = f" (`cmon {kind.made_by}`)" if kind.made_by != kind.command else ""
        found.append(Described(file, kind.schema, kind.one_row_per + of))
    return [*found, *_CACHED]


def tables() -> str:
    """All tables with all their columns."""
    parts = ["## In the workspace\n"]
    parts += [
        _described(f"`{table.file}`", f"A row for each {table.one_row_per}.", table.schema)
        for table in workspace()
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
