from __future__ import annotations

import argparse
import gc
import os
import pickle
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from cmon.checkpoints import checkpoint
from cmon.checkpoints.formats.registry import find_format
from cmon.checkpoints.formats.torch_file import TorchFile
from cmon.errors import CmonError

TENSORS = {"conv.weight": torch.arange(6.0).view(2, 3), "conv.bias": torch.tensor([1.0, 2.0])}
AVERAGED = {name: tensor + 1 for name, tensor in TENSORS.items()}


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def same(found: dict[str, torch.Tensor], prefix: str = "") -> None:
    torch.testing.assert_close(found, {prefix + name: tensor for name, tensor in TENSORS.items()})


# -- what is read --------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files by /proc")
def test_no_file_stays_open_until_python_collects_its_garbage(tmp_path: Path) -> None:
    """A file on a network's disk that is still mapped cannot be removed there."""
    path = saved(tmp_path / "epoch_1.pt", TENSORS | {"large": torch.zeros(10**6)})
    gc.collect()
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/fd"))
        assert "large" in checkpoint.read(path).tensors
        assert checkpoint.inspect(path, tmp_path).status == "ok"
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        gc.enable()


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pth.tar"])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrapper", ["plain", "state_dict", "model"])
def test_every_usual_form_is_read(tmp_path: Path, suffix: str, prefix: str, wrapper: str) -> None:
    tensors = {prefix + name: tensor for name, tensor in TENSORS.items()}
    content: dict[str, Any] = tensors if wrapper == "plain" else {wrapper: tensors, "epoch": 4, "step": 120}
    weights = checkpoint.read(saved(tmp_path / f"a{suffix}", content))
    same(weights.tensors, prefix)
    assert weights.wrapper == wrapper
    assert (weights.epoch, weights.step) == ((None, None) if wrapper == "plain" else (4.0, 120))


@pytest.mark.parametrize("prefix", ["", "module."])
def test_safetensors_are_read(tmp_path: Path, prefix: str) -> None:
    save_file({prefix + name: tensor for name, tensor in TENSORS.items()}, tmp_path / "epoch_3.safetensors")
    weights = checkpoint.read(tmp_path / "epoch_3.safetensors")
    same(weights.tensors, prefix)
    assert checkpoint.inspect(tmp_path / "epoch_3.safetensors", tmp_path).epoch == 3


def test_a_file_in_torchs_old_format_is_read(tmp_path: Path) -> None:
    torch.save({"state_dict": TENSORS}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    same(checkpoint.read(tmp_path / "a.pth").tensors)


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
    weights = checkpoint.read(saved(tmp_path / "checkpoint.pth.tar", content))
    assert list(weights.tensors) == list(network.state_dict())
    assert (weights.wrapper, weights.epoch, weights.step) == ("model", 7.0, 99)


def test_a_network_that_has_a_part_called_model_is_plain(tmp_path: Path) -> None:
    weights = checkpoint.read(saved(tmp_path / "a.pt", {"model.weight": torch.ones(2), "model": "resnet18"}))
    assert (weights.wrapper, list(weights.tensors)) == ("plain", ["model.weight"])


# -- epochs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "epoch"),
    [(3, 3.0), (2.5, 2.5), (torch.tensor(6), 6.0), (0, 0.0), (np.int64(8), 8.0), ("x", 9), (True, 9)],
)
def test_the_stored_epoch_wins_over_the_name(tmp_path: Path, stored: object, epoch: float) -> None:
    path = saved(tmp_path / "epoch_9.pt", {"state_dict": TENSORS, "epoch": stored})
    assert checkpoint.inspect(path, tmp_path).epoch == epoch


def test_a_file_with_no_epoch_is_skipped_with_the_reason(tmp_path: Path) -> None:
    found = checkpoint.inspect(saved(tmp_path / "final.pt", TENSORS), tmp_path)
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
    found = checkpoint.inspect(path, tmp_path)
    assert not canary.exists(), "the code in the file was run"
    assert found.status == "skipped"
    assert found.error is not None
    if form != "bare pickle":
        assert "posix.system" in found.error
        assert "torch.save(model.state_dict(), path)" in found.error
        assert "--trust-pickle" in found.error


def test_a_whole_pickled_network_is_refused_with_a_way_out(tmp_path: Path) -> None:
    saved(tmp_path / "epoch_1.pt", nn.Linear(2, 2))
    with pytest.raises(CmonError, match="refused, since reading it would run code") as caught:
        checkpoint.read(tmp_path / "epoch_1.pt")
    assert "torch.nn.modules.linear.Linear" in str(caught.value)
    assert "torch.save(model.state_dict(), path)" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([1, 2], "list"),
        (torch.ones(3), "Tensor"),
        ({}, "an empty dict"),
        ({"epoch": 3, "state_dict": {}}, "'epoch', 'state_dict'"),
        ({"state_dict": {"a": 1}}, "'state_dict'"),
    ],
)
def test_a_file_without_weights_says_what_it_holds(tmp_path: Path, content: object, found: str) -> None:
    saved(tmp_path / "epoch_1.pt", content)
    with pytest.raises(CmonError, match="holds no state dict") as caught:
        checkpoint.read(tmp_path / "epoch_1.pt")
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
    found = checkpoint.inspect(path, tmp_path)
    assert found.status == "skipped"
    assert found.sha256
    assert found.error is not None
    assert "damaged" in found.error
    assert "\n" not in found.error


def test_a_zip_that_is_no_checkpoint_is_damaged(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "epoch_1.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    found = checkpoint.inspect(tmp_path / "epoch_1.pt", tmp_path)
    assert found.error is not None
    assert "damaged" in found.error


def test_torchs_advice_to_run_code_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "epoch_1.pt").write_bytes(pickle.dumps({"weight": [1, 2]}))
    found = checkpoint.inspect(tmp_path / "epoch_1.pt", tmp_path)
    assert found.error is not None
    assert "damaged" in found.error
    assert "weights_only" not in found.error


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
    found = checkpoint.inspect(path, tmp_path)
    assert found.error is None or "\n" not in found.error


class Recipe:
    """What a training program of one's own might store beside the weights."""

    def __init__(self) -> None:
        self.rate = 0.1


def test_code_runs_only_where_it_is_trusted(tmp_path: Path) -> None:
    path = saved(tmp_path / "epoch_1.pt", {"state_dict": TENSORS, "recipe": Recipe()})
    found = checkpoint.inspect(path, tmp_path)
    assert found.error is not None
    assert "test_checkpoint.Recipe" in found.error
    same(checkpoint.read(path, trust_pickle=True).tensors)
    assert checkpoint.inspect(path, tmp_path, trust_pickle=True).error is None


def test_a_trusted_whole_network_gives_its_weights(tmp_path: Path) -> None:
    network = nn.Linear(2, 2)
    saved(tmp_path / "a.pt", network)
    saved(tmp_path / "b.pt", {"model": network, "epoch": 3})
    for name, epoch in (("a", None), ("b", 3)):
        weights = checkpoint.read(tmp_path / f"{name}.pt", trust_pickle=True)
        torch.testing.assert_close(weights.tensors, dict(network.state_dict()))
        assert weights.epoch == epoch


def test_trusted_code_that_is_not_there_says_so(tmp_path: Path) -> None:
    path = saved(tmp_path / "epoch_1.pt", {"state_dict": TENSORS, "recipe": Recipe()})
    content = path.read_bytes()
    path.write_bytes(content.replace(b"test_checkpoint", b"best_checkpoint"))
    with pytest.raises(CmonError, match="cannot be imported\n  found:    ModuleNotFoundError"):
        checkpoint.read(path, trust_pickle=True)


def test_plain_data_beside_the_weights_needs_no_trust(tmp_path: Path) -> None:
    beside = {
        "args": argparse.Namespace(lr=0.1, out=Path("runs"), nested=argparse.Namespace(a=1)),
        "best": np.float64(0.5),
        "seen": np.int64(3),
        "numbers": types.SimpleNamespace(a=2),
    }
    same(checkpoint.read(saved(tmp_path / "a.pt", {"model": TENSORS, **beside})).tensors)
    held = argparse.Namespace(transform=os.path.join)
    with pytest.raises(CmonError, match=r"found:    objects of posixpath\.join"):
        checkpoint.read(saved(tmp_path / "b.pt", {"model": TENSORS, "args": held}))


# -- what is not read twice ----------------------------------------------------------------------------


def test_a_checkpoint_known_by_its_bytes_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "epoch_3.pt", {"state_dict": TENSORS, "epoch": 4, "step": 7})
    first = checkpoint.inspect(path, tmp_path)
    row = {
        name: getattr(first, name)
        for name in ("wrapper", "signature", "weights", "epoch", "epoch_from", "step")
    }
    opened: list[Path] = []
    read = TorchFile.read

    def note(format: TorchFile, path: Path, values: bool, trust_pickle: bool) -> dict[str, Any]:
        opened.append(path)
        return read(format, path, values, trust_pickle)

    monkeypatch.setattr(TorchFile, "read", note)
    known = {("epoch_3.pt", first.sha256 or ""): row}
    assert checkpoint.inspect(path, tmp_path, known=known) == first
    assert opened == []
    checkpoint.inspect(path, tmp_path, "ema", known=known)
    saved(path, {"state_dict": AVERAGED, "epoch": 4})
    checkpoint.inspect(path, tmp_path, known=known)
    assert opened == [path, path]


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_inspecting_reads_no_tensor(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"epoch_1.{suffix}"
    big = {"w": torch.zeros(1 << 20)}
    if suffix == "pt":
        saved(path, big)
    else:
        save_file(big, path)
    tensor = find_format(path).read(path, values=False, trust_pickle=False)["w"]
    assert tensor.shape == (1 << 20,)
    if suffix == "safetensors":
        assert tensor.is_meta
    else:  # mapped: changing the file changes what is read
        content = bytearray(path.read_bytes())
        content[len(content) // 2] = 1
        path.write_bytes(content)
        assert tensor.count_nonzero() == 1


def test_a_checkpoint_that_changes_while_it_is_read_is_not_used(tmp_path: Path) -> None:
    path = saved(tmp_path / "epoch_1.pt", TENSORS)
    found = checkpoint.inspect(path, tmp_path)
    same(checkpoint.read_unchanged(found))
    saved(path, AVERAGED)
    with pytest.raises(CmonError, match="was written while it was being read"):
        checkpoint.read_unchanged(found)
    path.unlink()
    with pytest.raises(CmonError, match="cannot be read\n  found:    No such file"):
        checkpoint.read_unchanged(found)


def test_a_file_that_may_not_be_read_is_skipped(
    locked_folder: Path, without_rights: Callable[[], Any]
) -> None:
    with without_rights():
        found = checkpoint.inspect(locked_folder / "epoch_1.pt", locked_folder)
    assert found.error == "cannot be read: Permission denied"
    assert found.sha256 is None


# -- identity ------------------------------------------------------------------------------------------


def test_the_signature_tells_networks_apart_not_epochs(tmp_path: Path) -> None:
    first = checkpoint.inspect(saved(tmp_path / "epoch_1.pt", TENSORS), tmp_path)
    later = {name: tensor + 1 for name, tensor in TENSORS.items()}
    second = checkpoint.inspect(saved(tmp_path / "epoch_2.pt", {"model": later}), tmp_path)
    other = {**TENSORS, "conv.bias": torch.ones(3)}
    third = checkpoint.inspect(saved(tmp_path / "epoch_3.pt", other), tmp_path)
    assert first.signature == second.signature != third.signature
    assert len({first.sha256, second.sha256, third.sha256}) == 3
