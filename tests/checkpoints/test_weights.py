"""Which weights are read, raw or averaged, where a checkpoint holds several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cmon.checkpoints import checkpoint
from cmon.errors import CmonError

TENSORS = {"conv.weight": torch.arange(6.0).view(2, 3), "conv.bias": torch.tensor([1.0, 2.0])}
AVERAGED = {name: tensor + 1 for name, tensor in TENSORS.items()}


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("raw", "ema"),
    [
        ("state_dict", "state_dict_ema"),
        ("model", "model_ema"),
        ("model", "ema"),
        ("state_dict", "my_ema_weights"),
        ("generator", "ema_generator"),
    ],
)
def test_averaged_weights_are_the_users_choice(tmp_path: Path, raw: str, ema: str) -> None:
    path = saved(tmp_path / "epoch_1.pt", {ema: AVERAGED, raw: TENSORS, "epoch": 1})
    torch.testing.assert_close(checkpoint.read(path).tensors, TENSORS)
    found = checkpoint.read(path, "ema")
    torch.testing.assert_close(found.tensors, AVERAGED)
    assert found.wrapper == ema
    assert checkpoint.inspect(path, tmp_path, "ema").weights == "ema"


@pytest.mark.parametrize("content", [{"state_dict": TENSORS}, TENSORS, {"model": TENSORS, "model_ema": None}])
def test_averaged_weights_that_are_not_there_are_an_error(tmp_path: Path, content: dict[str, Any]) -> None:
    path = saved(tmp_path / "epoch_1.pt", content)
    found = checkpoint.inspect(path, tmp_path, "ema")
    assert found.error is not None
    assert "holds no EMA weights" in found.error
    assert "--weights raw" in found.error
    assert found.status == "skipped"


def test_one_unknown_state_dict_is_taken_and_two_are_not(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "a.pt", {"student": TENSORS, "optimizer": {"state": {}}, "loss": torch.tensor(1.0)}
    )
    assert checkpoint.read(path).wrapper == "student"
    path = saved(tmp_path / "b.pt", {"student": TENSORS, "teacher": TENSORS})
    with pytest.raises(CmonError, match=r"holds 2 state dicts(.|\n)*'student', 'teacher'"):
        checkpoint.read(path)
