"""Folders of torch.distributed.checkpoint: read back to the same activations, refused, or damaged."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cmon.checkpoints import checkpoint
from cmon.checkpoints.checkpoint import read_unchanged
from cmon.checkpoints.formats.distributed import METADATA
from cmon.errors import CmonError
from tests.support.checkpoints import check_folder, step_optimizer, train_network, train_networks


@pytest.fixture
def networks() -> dict[float, nn.Module]:
    return train_networks()


@pytest.fixture
def save_distributed() -> Callable[[dict[str, Any], Path], None]:
    import torch.distributed.checkpoint as dcp

    def save(content: dict[str, Any], folder: Path) -> None:
        dcp.save(content, checkpoint_id=folder, no_dist=True)

    return save


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("nested", ["model", "app", "plain"])
def test_distributed_checkpoints(
    tmp_path: Path,
    networks: dict[float, nn.Module],
    save_distributed: Callable[[dict[str, Any], Path], None],
    nested: str,
) -> None:
    for epoch, network in networks.items():
        state: dict[str, Any] = {
            "model": network.state_dict(),
            "optimizer": step_optimizer(network).state_dict(),
        }
        state["model"] = {name: value.clone() for name, value in network.state_dict().items()}
        content = {"app": state} if nested == "app" else state["model"] if nested == "plain" else state
        if nested == "model":
            content |= {"epoch": int(epoch), "step": torch.tensor(int(epoch) * 10)}
        save_distributed(content, tmp_path / f"epoch_{epoch:.0f}")
    found = check_folder(tmp_path, networks)
    assert {one.kind for one in found} == {"distributed"}
    if nested == "model":
        assert [(one.epoch_from, one.step) for one in found] == [
            ("stored", 0),
            ("stored", 10),
            ("stored", 40),
        ]


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("place", ["whole", "inside", "value"])
def test_code_in_a_distributed_checkpoint_does_not_run(
    tmp_path: Path, save_distributed: Callable[[dict[str, Any], Path], None], place: str
) -> None:
    folder, canary = tmp_path / "epoch_1", tmp_path / "canary"
    extra = {"extra": Canary(canary)} if place == "value" else {}
    save_distributed({"model": train_network(1).state_dict(), **extra}, folder)
    note = folder / METADATA
    if place != "value":
        metadata: Any = Canary(canary)
        if place == "inside":
            metadata = pickle.loads(note.read_bytes())
            metadata.planner_data = Canary(canary)
        note.write_bytes(pickle.dumps(metadata))
        found = checkpoint.inspect(folder, tmp_path)
        assert found.error is not None
        assert "refused, since reading it would run code" in found.error
        assert "Path.touch" in found.error
    else:
        check_folder(tmp_path, {1.0: train_network(1)})
    assert not canary.exists()


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("damage", ["no shard", "half a shard", "half the metadata", "empty"])
def test_a_damaged_distributed_checkpoint_is_a_reason(
    tmp_path: Path, save_distributed: Callable[[dict[str, Any], Path], None], damage: str
) -> None:
    folder = tmp_path / "epoch_1"
    save_distributed({"model": train_network(1).state_dict(), "epoch": 1}, folder)
    (shard,), note = folder.glob("*.distcp"), folder / METADATA
    if damage == "no shard":
        shard.unlink()
    for path, broken in ((shard, damage == "half a shard"), (note, damage == "half the metadata")):
        if broken:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if damage == "empty":
        note.write_bytes(b"")
    found = checkpoint.inspect(folder, tmp_path)
    if found.error is None:
        with pytest.raises(CmonError, match="damaged"):
            read_unchanged(found)
    else:
        assert "damaged" in found.error or "cannot be read" in found.error
