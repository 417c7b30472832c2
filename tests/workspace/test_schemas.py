from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cmon.reporting.tables import catalog
from cmon.workspace import schemas
from cmon.workspace.keys import epoch_text
from scripts.maintenance import table_reference

REPORT_SCHEMAS = {table.name.upper(): table.schema for table in catalog.TABLES}


def schema_of(name: str) -> pa.Schema:
    return getattr(schemas, name, None) or REPORT_SCHEMAS[name]


REPORTED = ["D_ANCHOR", "COMPARISON", "MOVEMENT", "UNIT_MOVEMENT", "DIVERSITY"]
TABLES = [
    "CHECKPOINTS",
    "IMAGES",
    "SHARDS",
    "UNITS",
    "CONCEPTS",
    "DETECTIONS",
    "AGREEMENT",
    "LAYOUT",
    "COSTS",
    "FIDELITY",
    *REPORTED,
]
PROMISED = {  # design: a program that reads the tables without cmon counts on these
    "CHECKPOINTS": ["run", "checkpoint", "epoch", "step", "sha256", "wrapper", "status", "error"],
    "IMAGES": ["image_id", "path", "sha256", "status", "error"],
    "UNITS": [
        *["run", "epoch", "layer", "unit", "status", "label", "category", "score", "margin", "p_value"],
        *["interpretable", "top_images", "top_activations"],
    ],
    "CONCEPTS": ["run", "epoch", "layer", "unit", "rank", "concept", "category", "score"],
    "D_ANCHOR": [
        *["run", "layer", "epoch", "d_anchor", "d_anchor_low", "d_anchor_high"],
        *["d_anchor_clip", "d_anchor_clip_low", "d_anchor_clip_high"],
        *["n_units", "n_dead", "n_interpretable"],
    ],
    "COMPARISON": ["reference", "run", "layer", "epoch", "difference_low", "difference_clip_high", "paired"],
    "MOVEMENT": [
        *["run", "layer", "epoch", "step", "from_first", "path_length", "spread", "labels", "entropy"],
        *["born", "lost", "relabelled", "settled"],
    ],
    "UNIT_MOVEMENT": [
        "run",
        "layer",
        "unit",
        "displacement",
        "path_length",
        "relabelled",
        "settled",
        "label",
    ],
    "DIVERSITY": ["run", "layer", "epoch", "labels", "entropy", "covered", "covered_clip"],
    "LAYOUT": ["run", "epoch", "layer", "unit", "x", "y", "nearest_anchor", "distance", "distance_clip"],
}


@pytest.mark.parametrize("name", PROMISED)
def test_tables_have_the_promised_columns(name: str) -> None:
    assert set(PROMISED[name]) <= set(schema_of(name).names)


def test_a_key_has_the_same_type_in_every_table() -> None:
    for key in ("run", "layer", "epoch", "unit"):
        types = {schema_of(name).field(key).type for name in TABLES if key in schema_of(name).names}
        assert len(types) == 1, f"{key}: {types}"


@pytest.mark.parametrize(
    ("epoch", "text"), [(0.0, "0"), (10.0, "10"), (0.5, "0.5"), (3, "3"), (12.25, "12.25")]
)
def test_epochs_are_named_without_needless_digits(epoch: float, text: str) -> None:
    assert epoch_text(epoch) == text
    assert float(text) == epoch


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(3, 5), (1, 4), (4, 1), (0, 3)])
def test_a_matrix_survives_as_a_column_of_vectors(shape: tuple[int, int], order: str) -> None:
    wanted = np.asarray(np.random.default_rng(0).normal(size=shape).astype(np.float32), order=order)
    column = schemas.vectors(wanted)
    assert column.type == schemas.image_features(shape[1]).field("vector").type
    table = pa.table({"vector": column})
    np.testing.assert_array_equal(schemas.matrix(table["vector"]), wanted)
    # Also from several chunks, as a table of several row groups gives them.
    halves = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    np.testing.assert_array_equal(schemas.matrix(halves["vector"]), wanted)


def test_every_column_says_what_it_holds() -> None:
    every = [
        *(table.schema for table in table_reference.workspace()),
        *(table.schema for table in catalog.TABLES),
    ]
    for schema in every:
        for field in schema:
            assert len(schemas.meaning(field)) > 2, field
            assert "|" not in schemas.meaning(field)  # it stands in a Markdown table
    assert {schema_of(name).to_string() for name in TABLES} <= {schema.to_string() for schema in every}


def test_what_a_column_holds_survives_in_the_file(tmp_path: Path) -> None:
    pq.write_table(schemas.COSTS.empty_table(), tmp_path / "costs.parquet")
    read = pq.read_schema(tmp_path / "costs.parquet")
    assert [schemas.meaning(field) for field in read] == [schemas.meaning(field) for field in schemas.COSTS]
    assert schemas.meaning(read.field("seconds")) == "wall time"
