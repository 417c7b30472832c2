"""Which weights are read, raw or averaged, where a checkpoint holds several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cmon.checkpoints import checkpoint
from cmon.errors import CmonError
from tests.support.checkpoints import check_folder, train_network

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


# -- what is averaged is told by what is there, not by a name alone --------------------------------------


@pytest.mark.parametrize("layer", ["ema_attention", "schema", "swa_gate", "emanet", "cinema.ema"])
@pytest.mark.parametrize("wrapper", ["plain", "state_dict"])
def test_a_layer_whose_name_says_ema_is_no_average(tmp_path: Path, layer: str, wrapper: str) -> None:
    tensors = {**TENSORS, f"{layer}.weight": torch.ones(2)}
    for number in range(6):
        tensors[f"block{number}.weight"] = torch.ones(2)
    path = saved(tmp_path / "epoch_1.pt", tensors if wrapper == "plain" else {wrapper: tensors})
    torch.testing.assert_close(checkpoint.read(path).tensors, tensors)
    with pytest.raises(CmonError, match="holds no EMA weights"):
        checkpoint.read(path, "ema")


@pytest.mark.parametrize(
    "prefix", ["ema_model.", "model_ema.module.", "net_ema.", "swa_model.", "encoder_k."]
)
def test_averages_within_a_state_dict_are_those_with_a_twin(tmp_path: Path, prefix: str) -> None:
    raw = {
        f"{'encoder_q' if prefix == 'encoder_k.' else 'model'}.{name}": tensor
        for name, tensor in TENSORS.items()
    }
    averages = {prefix + name: tensor for name, tensor in AVERAGED.items()}
    path = saved(tmp_path / "epoch_1.pt", {"state_dict": {**raw, **averages, "loss.weight": torch.ones(1)}})
    torch.testing.assert_close(checkpoint.read(path, "ema").tensors, averages)


def test_an_entry_that_holds_both_gives_its_average(tmp_path: Path) -> None:
    """lucidrains' ema_pytorch: {'online_model.*', 'ema_model.*', 'initted', 'step'}."""
    both = {f"online_model.{name}": tensor for name, tensor in TENSORS.items()}
    averages = {f"ema_model.{name}": tensor for name, tensor in AVERAGED.items()}
    beside = {"initted": torch.tensor(True), "step": torch.tensor(3)}
    path = saved(tmp_path / "epoch_1.pt", {"model": TENSORS, "ema": both | averages | beside})
    torch.testing.assert_close(checkpoint.read(path).tensors, TENSORS)
    torch.testing.assert_close(checkpoint.read(path, "ema").tensors, averages)


def test_an_averaged_model_is_known_by_its_content(tmp_path: Path) -> None:
    average = {"n_averaged": torch.tensor(4), **{f"module.{name}": value for name, value in AVERAGED.items()}}
    path = saved(tmp_path / "epoch_1.pt", {"model": TENSORS, "polyak": average})
    torch.testing.assert_close(checkpoint.read(path).tensors, TENSORS)
    assert checkpoint.read(path, "ema").wrapper == "polyak"
    path = saved(tmp_path / "epoch_2.pt", {"model": average})
    assert checkpoint.read(path).averaged
    assert checkpoint.inspect(path, tmp_path).weights == "ema"


def test_two_averages_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", {"model": TENSORS, "model_ema": AVERAGED, "swa_model": dict(TENSORS)})
    with pytest.raises(CmonError, match=r"holds 2 averaged state dicts(.|\n)*'model_ema', 'swa_model'"):
        checkpoint.read(path, "ema")


def test_mmengines_exchange_is_not_taken_for_another_programs(tmp_path: Path) -> None:
    inner = {f"module.{name}": tensor for name, tensor in AVERAGED.items()}
    swapped = {"state_dict": TENSORS, "ema_state_dict": {"steps": torch.tensor(1), **inner}}
    path = saved(tmp_path / "a.pth", swapped)
    torch.testing.assert_close(checkpoint.read(path).tensors, inner)
    torch.testing.assert_close(checkpoint.read(path, "ema").tensors, TENSORS)
    path = saved(tmp_path / "b.pth", {"state_dict": TENSORS, "ema_state_dict": AVERAGED})
    torch.testing.assert_close(checkpoint.read(path).tensors, TENSORS)
    torch.testing.assert_close(checkpoint.read(path, "ema").tensors, AVERAGED)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floats_of_other_sizes_are_converted(tmp_path: Path, dtype: torch.dtype) -> None:
    network = train_network(1)
    tensors = {name: tensor.to(dtype) for name, tensor in network.state_dict().items()}
    network.load_state_dict(tensors)
    saved(tmp_path / "epoch_1.pt", tensors)
    check_folder(tmp_path, {1.0: network})


def test_one_checkpoint_of_another_kind_does_not_cost_the_others(tmp_path: Path) -> None:
    for epoch in range(3):
        tensors = dict(train_network(epoch).state_dict())
        if epoch == 1:
            tensors["fc.weight"] = tensors["fc.weight"].to(torch.int8)
        saved(tmp_path / f"epoch_{epoch}.pt", tensors)
    found = check_folder(tmp_path, {0.0: train_network(0), 2.0: train_network(2)})
    assert found[1].error is not None
    assert "integers in fc.weight" in found[1].error


def test_averages_where_others_are_raw_are_not_mixed_in(tmp_path: Path) -> None:
    saved(tmp_path / "epoch_1.pt", train_network(1).state_dict())
    averaged = torch.optim.swa_utils.AveragedModel(train_network(2))
    saved(tmp_path / "epoch_2.pt", averaged.state_dict())
    found = check_folder(tmp_path, {1.0: train_network(1)})
    assert found[1].error is not None
    assert "holds only averaged weights, where others of the run hold raw ones" in found[1].error
