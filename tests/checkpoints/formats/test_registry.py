"""What the registry of formats recognises, and that this loads no torch."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cmon.checkpoints import runs
from cmon.checkpoints.formats.registry import FORMATS, SUFFIXES, claim_checkpoints, find_format
from cmon.errors import CmonError
from tests.support.checkpoints import save_hugging_face, train_network


def test_all_kinds_together_are_found_once(tmp_path: Path) -> None:
    save_hugging_face(tmp_path / "checkpoint-5", train_network(0), 1, 5, "safetensors")
    torch.save(train_network(1).state_dict(), tmp_path / "epoch_2.pt")
    save_file(train_network(3).state_dict(), tmp_path / "epoch_3.safetensors")
    shutil.copytree(tmp_path / "checkpoint-5", tmp_path / "best")
    found = dict((one.name, one) for _, one in runs.inspect_runs({"run": tmp_path}))
    assert list(found) == ["best", "checkpoint-5", "epoch_2.pt", "epoch_3.safetensors"]
    assert [find_format(tmp_path / name).name for name in found] == [
        "hugging face", "hugging face", "torch", "safetensors",
    ]  # fmt: skip


def test_a_folder_that_is_a_checkpoint_hides_the_files_it_is_made_of() -> None:
    """Names alone decide: nothing is opened, so nothing need be there."""
    folder = Path("run/checkpoint-5")
    names = {"model.safetensors", "trainer_state.json", "optimizer.pt", "rng_state.pth", "epoch_3.pt"}
    found = {path.name: format.name for path, format in claim_checkpoints(folder, names).items()}
    assert found == {"checkpoint-5": "hugging face", "epoch_3.pt": "torch"}
    found = {
        path.name: format.name for path, format in claim_checkpoints(folder, {*names, ".metadata"}).items()
    }
    assert found == {"checkpoint-5": "distributed"}
    found = {
        path.name: format.name for path, format in claim_checkpoints(folder, {"model.safetensors"}).items()
    }
    assert found == {"model.safetensors": "safetensors"}


def test_every_format_has_its_own_name_and_endings() -> None:
    assert len({format.name for format in FORMATS}) == len(FORMATS)
    assert len(set(SUFFIXES)) == len(SUFFIXES)
    for suffix in SUFFIXES:
        assert find_by_name(f"epoch_3{suffix}") == 1, suffix


def find_by_name(name: str) -> int:
    return len(claim_checkpoints(Path("run"), {name}))


def test_what_is_no_checkpoint_has_no_format(tmp_path: Path) -> None:
    (tmp_path / "log.txt").touch()
    for path in (tmp_path, tmp_path / "log.txt"):
        with pytest.raises(CmonError, match=r"not a checkpoint\n  expected: files that end in \.pth\.tar, "):
            find_format(path)
    with pytest.raises(FileNotFoundError):
        find_format(tmp_path / "epoch_1.pt")


def test_finding_checkpoints_loads_no_torch() -> None:
    program = "import sys, cmon.checkpoints.find; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
