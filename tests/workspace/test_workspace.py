from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cmon.errors import CmonError
from cmon.workspace import schemas
from cmon.workspace.files import atomic_write, digest, file_digest
from cmon.workspace.workspace import Workspace, is_fresh, read_table, stamp

TABLE = pa.table({"image_id": [1, 2, 3]})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_table_comes_back_as_it_was_written(workspace: Workspace) -> None:
    path = workspace.table("images")
    workspace.write(path, TABLE, "key", {"a": 1})
    assert read_table(path).to_pydict() == TABLE.to_pydict()
    assert workspace.read("images").to_pydict() == TABLE.to_pydict()
    assert workspace.origin("images") == "key"
    assert workspace.parameters("images") == {"a": 1}
    assert stamp(path)["schema_version"] == schemas.VERSION
    assert workspace.written_bytes == path.stat().st_size
    assert pd.read_parquet(path)["image_id"].tolist() == [1, 2, 3]  # readable without cmon


def test_only_the_same_key_is_fresh(workspace: Workspace, tmp_path: Path) -> None:
    path = workspace.table("images")
    assert not is_fresh(path, "key")
    workspace.write(path, TABLE, "key")
    assert is_fresh(path, "key")
    assert not is_fresh(path, "other")
    os.utime(path, (0, 0))
    assert is_fresh(path, "key"), "dates must not decide"
    path.write_bytes(path.read_bytes()[:-20])
    assert not is_fresh(path, "key"), "a damaged file is not fresh"
    foreign = tmp_path / "foreign.parquet"
    pq.write_table(TABLE, foreign)
    assert not is_fresh(foreign, "key")


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
        "import os, sys; from pathlib import Path; from cmon.workspace.workspace import atomic_write\n"
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


@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_a_damaged_table_says_what_to_do(workspace: Workspace, damage: str) -> None:
    path = workspace.table("units")
    workspace.write(path, TABLE, "key")
    content = {"truncated": path.read_bytes()[:-30], "empty": b"", "text": b"hello, I am no table at all"}
    path.write_bytes(content[damage])
    with pytest.raises(CmonError, match="delete the file and run the stage again"):
        workspace.read("units")


def test_a_table_of_another_schema_version_is_not_misread(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.write(workspace.table("units"), TABLE, "key")
    monkeypatch.setattr(schemas, "VERSION", schemas.VERSION + 1)
    with pytest.raises(CmonError, match="run `cmon score` again"):
        workspace.origin("units")


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
