from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from cmon.errors import CmonError
from cmon.workspace import schemas
from cmon.workspace.files import atomic_write, digest, file_digest
from cmon.workspace.table_files import is_fresh, read_table
from cmon.workspace.workspace import Workspace
from tests.support import scored_tables

TABLE = pa.Table.from_pylist(
    [{"image_id": number, "path": "a", "status": "ok"} for number in range(3)], schema=schemas.IMAGES
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_that_fails_while_it_is_written_is_not_seen(workspace: Workspace) -> None:
    path = workspace.table("images")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as aside:  # noqa: PT012
        aside.write_text("half")
        raise ZeroDivisionError
    assert files(workspace.root) == []


def test_a_write_that_fails_keeps_the_old_file(workspace: Workspace) -> None:
    path = workspace.table("images")
    workspace.write(path, TABLE, "old")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as aside:  # noqa: PT012
        aside.write_text("half")
        raise KeyboardInterrupt
    assert is_fresh(path, "old")
    assert files(workspace.root) == ["images.parquet"]


def test_a_killed_process_leaves_no_visible_file(workspace: Workspace) -> None:
    path = workspace.table("images")
    program = (
        "import os, sys; from pathlib import Path; from cmon.workspace.files import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as aside: aside.write_text('half'); os._exit(9)"
    )
    repository = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=repository, check=False)
    assert done.returncode == 9
    assert not path.exists()
    workspace.write(path, TABLE, "key")
    assert is_fresh(path, "key")


def test_a_workspace_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(CmonError, match="found:    a file"):
        Workspace(file)


@pytest.mark.parametrize(("table", "stage"), [("shards", "extract"), ("units", "score"), ("layout", "embed")])
def test_a_missing_table_names_the_command_that_makes_it(
    workspace: Workspace, table: str, stage: str
) -> None:
    for ask in (workspace.read, workspace.origin, workspace.parameters):
        with pytest.raises(CmonError, match=f"run `cmon {stage} {workspace.root} ...` first"):
            ask(table)


def test_digests_depend_on_content_and_order_but_not_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [2.5, None]}) == digest({"b": [2.5, None], "a": 1})
    different = [digest(), digest(None), digest("1"), digest(1), digest([1, 2]), digest([2, 1]), digest(1, 2)]
    assert len(set(different)) == len(different)


def test_a_files_digest_is_that_of_its_bytes_also_beyond_one_block(tmp_path: Path) -> None:
    content = os.urandom(5_000_000)
    (tmp_path / "file").write_bytes(content)
    assert file_digest(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_activation_files_of_different_layers_never_share_a_path(workspace: Workspace) -> None:
    names = ["layer1", "layer1.0", "layer1/0", "layer1%2F0", "ä", "A b"]
    paths = {workspace.activations(run, layer, 0.0) for run in ("a", "b c") for layer in names}
    assert len(paths) == 2 * len(names)
    for path in paths:
        assert path.parents[3] == workspace.root, "a name must not open folders of its own"
    assert workspace.activations("a", "b", 0.5).name == "0.5.parquet"


def test_what_was_written_is_counted(workspace: Workspace) -> None:
    workspace.write(workspace.table("images"), TABLE, "key")
    assert workspace.written_bytes == workspace.table("images").stat().st_size


def test_a_table_in_many_files_is_read_as_it_is_listed(tmp_path: Path) -> None:
    units, concepts = scored_tables.units({"good": 3, "poor": 2}, {"early": 2, "late": 5})
    place = scored_tables.write(tmp_path, units, concepts)
    found = place.read("units", ["run", "layer", "epoch", "unit", "status"]).to_pandas()
    pd.testing.assert_frame_equal(
        found, units[found.columns].astype({"unit": "int32", "epoch": float}), check_dtype=False
    )
    assert place.frame("concepts")["concept"].tolist() == concepts["concept"].tolist()
    row = place.read("scores").to_pylist()[3]
    path = place.group_file("units", row["run"], row["layer"], row["epoch"])
    other = place.group_file("units", "poor", "late", 0.0)
    for change in (path.unlink, lambda: place.write(path, read_table(other), "of another scoring")):
        change()
        with pytest.raises(CmonError, match=r"(?s)missing, or not the one that .*run `cmon score` again"):
            place.read("units")


def test_tables_in_many_files_are_one_data_set_for_other_programs(tmp_path: Path) -> None:
    units, concepts = scored_tables.units({"good": 3, "poor": 2}, {"early": 2, "late": 5})
    place = scored_tables.write(tmp_path, units, concepts)
    (tmp_path / "units" / "good" / "early" / ".9.parquet.host.1.part").write_text("half")
    keys = ["run", "layer", "epoch", "unit"]
    ours = place.frame("units")[keys].sort_values(keys, ignore_index=True)
    theirs = pd.read_parquet(tmp_path / "units")[keys].sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(theirs, ours)
