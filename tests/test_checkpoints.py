from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from cmon import checkpoints
from cmon.errors import CmonError

TENSORS = {"conv.weight": torch.arange(6.0).view(2, 3), "conv.bias": torch.tensor([1.0, 2.0])}


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def same(found: dict[str, torch.Tensor]) -> None:
    assert list(found) == list(TENSORS)
    for name, tensor in TENSORS.items():
        torch.testing.assert_close(found[name], tensor)


# -- what is read --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pth.tar"])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrapper", ["plain", "state_dict", "model"])
def test_every_usual_form_is_read(tmp_path: Path, suffix: str, prefix: str, wrapper: str) -> None:
    tensors = {prefix + name: tensor for name, tensor in TENSORS.items()}
    content: dict[str, Any] = tensors if wrapper == "plain" else {wrapper: tensors, "epoch": 4, "step": 120}
    weights = checkpoints.read(saved(tmp_path / f"a{suffix}", content))
    same(weights.tensors)
    assert weights.wrapper == wrapper
    assert (weights.epoch, weights.step) == ((None, None) if wrapper == "plain" else (4.0, 120))


@pytest.mark.parametrize("prefix", ["", "module."])
def test_safetensors_are_read(tmp_path: Path, prefix: str) -> None:
    save_file({prefix + name: tensor for name, tensor in TENSORS.items()}, tmp_path / "epoch_3.safetensors")
    weights = checkpoints.read(tmp_path / "epoch_3.safetensors")
    torch.testing.assert_close(weights.tensors, TENSORS)
    assert checkpoints.inspect(tmp_path / "epoch_3.safetensors", tmp_path).epoch == 3


def test_a_file_in_torchs_old_format_is_read(tmp_path: Path) -> None:
    torch.save({"state_dict": TENSORS}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    same(checkpoints.read(tmp_path / "a.pth").tensors)


def test_what_a_training_program_stores_beside_the_weights_does_no_harm(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    content = {
        "epoch": 7,
        "arch": "resnet18",
        "model": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "best_acc1": torch.tensor(0.5),
        "global_step": 99,
    }
    weights = checkpoints.read(saved(tmp_path / "checkpoint.pth.tar", content))
    assert list(weights.tensors) == list(network.state_dict())
    assert (weights.wrapper, weights.epoch, weights.step) == ("model", 7.0, 99)


def test_a_network_that_has_a_part_called_model_is_plain(tmp_path: Path) -> None:
    weights = checkpoints.read(saved(tmp_path / "a.pt", {"model.weight": torch.ones(2), "model": "resnet18"}))
    assert (weights.wrapper, list(weights.tensors)) == ("plain", ["model.weight"])


# -- epochs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "epoch"), [(3, 3.0), (2.5, 2.5), (torch.tensor(6), 6.0), (0, 0.0), ("x", 9), (True, 9)]
)
def test_the_stored_epoch_wins_over_the_name(tmp_path: Path, stored: object, epoch: float) -> None:
    path = saved(tmp_path / "epoch_9.pt", {"state_dict": TENSORS, "epoch": stored})
    assert checkpoints.inspect(path, tmp_path).epoch == epoch


@pytest.mark.parametrize(
    ("name", "epoch"),
    [
        ("epoch_3.pt", 3),
        ("epoch=12-step=400.pt", 12),
        ("model-7.pth", 7),
        ("checkpoint_0010.pth.tar", 10),
        ("resnet18_ep05_acc91.pt", 5),
        ("resnet50_20.pt", 20),
        ("010.safetensors", 10),
        ("epoch_4/weights.pt", 4),
        ("run2/final.pt", 2),
        ("final.pt", None),
    ],
)
def test_the_epoch_that_a_name_tells(name: str, epoch: float | None) -> None:
    assert checkpoints.epoch_in_name(name) == epoch


def test_a_file_with_no_epoch_is_skipped_with_the_reason(tmp_path: Path) -> None:
    found = checkpoints.inspect(saved(tmp_path / "final.pt", TENSORS), tmp_path)
    assert found.status == "skipped"
    assert found.error is not None
    assert "no epoch" in found.error


# -- what is refused -----------------------------------------------------------------------------------


class Canary:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.path}'",)


@pytest.mark.parametrize("form", ["zip", "old", "bare pickle"])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path, form: str) -> None:
    canary, path = tmp_path / "canary", tmp_path / "epoch_1.pt"
    content = {"state_dict": TENSORS, "extra": Canary(canary)}
    if form == "bare pickle":
        path.write_bytes(pickle.dumps({"extra": Canary(canary)}))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    found = checkpoints.inspect(path, tmp_path)
    assert not canary.exists(), "the code in the file was run"
    assert found.status == "skipped"
    assert found.error is not None
    if form == "zip":
        assert "system" in found.error
        assert "torch.save(model.state_dict(), path)" in found.error


def test_a_whole_pickled_network_is_refused_with_a_way_out(tmp_path: Path) -> None:
    saved(tmp_path / "epoch_1.pt", nn.Linear(2, 2))
    with pytest.raises(CmonError, match="refused, since reading it would run code") as caught:
        checkpoints.read(tmp_path / "epoch_1.pt")
    assert "torch.nn.modules.linear.Linear" in str(caught.value)
    assert "torch.save(model.state_dict(), path)" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([1, 2], "list"),
        (torch.ones(3), "Tensor"),
        ({}, "no key"),
        ({"epoch": 3, "state_dict": {}}, "'epoch', 'state_dict'"),
        ({"state_dict": {"a": 1}}, "'state_dict'"),
    ],
)
def test_a_file_without_weights_says_what_it_holds(tmp_path: Path, content: object, found: str) -> None:
    saved(tmp_path / "epoch_1.pt", content)
    with pytest.raises(CmonError, match="holds no state dict") as caught:
        checkpoints.read(tmp_path / "epoch_1.pt")
    assert found in str(caught.value)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("damage", ["empty", "half", "one byte less", "text", "page"])
def test_a_damaged_file_is_skipped_with_one_line(tmp_path: Path, suffix: str, damage: str) -> None:
    path = tmp_path / f"epoch_1{suffix}"
    big = {"w": torch.randn(300, 30)}
    if suffix == ".pt":
        saved(path, big)
    else:
        save_file(big, path)
    whole = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "half": whole[: len(whole) // 2],
            "one byte less": whole[:-1],
            "text": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n",
            "page": b"<!DOCTYPE html><html>404</html>" * 50,
        }[damage]
    )
    found = checkpoints.inspect(path, tmp_path)
    assert found.status == "skipped"
    assert found.sha256
    assert found.error is not None
    assert "damaged" in found.error
    assert "\n" not in found.error


def test_a_zip_that_is_no_checkpoint_is_damaged(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "epoch_1.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    found = checkpoints.inspect(tmp_path / "epoch_1.pt", tmp_path)
    assert found.error is not None
    assert "damaged" in found.error


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_bytes_escape_as_anything_but_a_reason(tmp_path: Path, data: st.DataObject) -> None:
    """Random bytes, and whole files with a few bytes changed, cut or put in."""
    path = tmp_path / data.draw(st.sampled_from(["epoch_1.pt", "epoch_1.safetensors"]))
    if data.draw(st.booleans()):
        path.write_bytes(data.draw(st.binary(max_size=60)))
    else:
        if path.suffix == ".pt":
            old = data.draw(st.booleans())
            torch.save({"state_dict": TENSORS}, path, _use_new_zipfile_serialization=not old)
        else:
            save_file(TENSORS, path)
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(content) - 1))
            content[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=4))
        path.write_bytes(bytes(content))
    found = checkpoints.inspect(path, tmp_path)
    assert found.error is None or "\n" not in found.error


# -- folders -------------------------------------------------------------------------------------------


def test_a_folder_is_listed_in_natural_order_with_its_sub_folders(tmp_path: Path) -> None:
    for name in ("epoch_10.pt", "epoch_2.pt", "Epoch_3.pth", "b/epoch_1.pth.tar", "log.txt", "x.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [str(path.relative_to(tmp_path)) for path in checkpoints.find(tmp_path)]
    assert names == ["b/epoch_1.pth.tar", "epoch_2.pt", "Epoch_3.pth", "epoch_10.pt", "x.safetensors"]


@given(st.lists(st.text(alphabet="a1²٣9_", min_size=1, max_size=6), max_size=6))
def test_any_names_can_be_put_in_order(names: list[str]) -> None:
    assert sorted(sorted(names, key=checkpoints.natural_key)) == sorted(names)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such folder"),
        (lambda path: path.write_text(""), "not a folder"),
        (lambda path: path.mkdir(), "an empty folder"),
        (lambda path: (path.mkdir(), (path / "log.txt").touch()), "1 other entries"),
    ],
)
def test_a_folder_without_checkpoints_says_so(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path / "runs")
    with pytest.raises(CmonError, match=message):
        checkpoints.find(tmp_path / "runs")


def test_a_folder_that_may_not_be_read_says_so(
    locked_folder: Path, without_rights: Callable[[], Any]
) -> None:
    with without_rights(), pytest.raises(CmonError, match="cannot be read\n  found:    Permission denied"):
        checkpoints.find(locked_folder)


def test_a_file_that_may_not_be_read_is_skipped(
    locked_folder: Path, without_rights: Callable[[], Any]
) -> None:
    with without_rights():
        found = checkpoints.inspect(locked_folder / "epoch_1.pt", locked_folder)
    assert found.error == "cannot be read: Permission denied"
    assert found.sha256 is None


# -- identity ------------------------------------------------------------------------------------------


def test_the_signature_tells_networks_apart_not_epochs(tmp_path: Path) -> None:
    first = checkpoints.inspect(saved(tmp_path / "epoch_1.pt", TENSORS), tmp_path)
    later = {"module." + name: tensor + 1 for name, tensor in TENSORS.items()}
    second = checkpoints.inspect(saved(tmp_path / "epoch_2.pt", {"model": later}), tmp_path)
    other = {**TENSORS, "conv.bias": torch.ones(3)}
    third = checkpoints.inspect(saved(tmp_path / "epoch_3.pt", other), tmp_path)
    assert first.signature == second.signature != third.signature
    assert len({first.sha256, second.sha256, third.sha256}) == 3
