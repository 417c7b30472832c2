from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from cmon.reporting.stage import ReportSettings, report
from cmon.reporting.tables.catalog import TABLES
from cmon.workspace.tables import KINDS
from scripts.maintenance import table_reference
from tests.support.synthetic_tables import World, write


def test_every_table_and_column_is_there() -> None:
    blocks = table_reference.tables().split("### `")[1:]
    wanted = [(table.file, table.schema) for table in table_reference.workspace()]
    wanted += [(table.name, table.schema) for table in TABLES]
    assert [block.partition("`")[0] for block in blocks] == [name for name, _ in wanted]
    for block, (_, schema) in zip(blocks, wanted, strict=True):
        rows = [line.split(" | ")[0] for line in block.splitlines() if line.startswith("| `")]
        assert rows == [f"| `{name}`" for name in schema.names]


def test_no_table_of_a_finished_workspace_is_left_out(tmp_path: Path) -> None:
    workspace = write(tmp_path, World(runs=("a",), layers=("l",), epochs=(0.0,), units=4, images=12))
    report(workspace, ReportSettings())
    known = {table.file for table in table_reference.workspace()}
    known |= {f"report/{table.name}.parquet" for table in TABLES}
    for path in workspace.root.rglob("*.parquet"):
        place = path.relative_to(workspace.root)
        name = f"{place.parts[0]}/RUN/LAYER/EPOCH.parquet" if place.parts[0] in KINDS else str(place)
        assert name in known
        assert all((field.metadata or {}).get(b"description") for field in pq.read_schema(path))
