"""What cmon refuses: what was found, and what it says. Tests run every row; see `checkpoint_cases`."""

# ruff: noqa: E501 - a row of the table is a line
from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations

from tests.support.checkpoint_cases import save, state
from tests.support.checkpoints import save_hugging_face, train_network

Write = Callable[[Path], None]


@dataclass(frozen=True)
class Refused:
    """One row: what lies in a run's folder, and the sentence that names it."""

    what: str
    says: str
    """Stands in the reason, whole."""
    way_out: str
    write: Write


def with_weight(value: Any) -> Write:
    """A checkpoint whose first weight is another thing than floats."""

    def write(folder: Path) -> None:
        tensors = state(train_network(0))
        tensors["conv1.weight"] = value(tensors["conv1.weight"])
        save(tensors, folder / "epoch_1.pt")

    return write


def with_bytes(content: bytes, name: str = "epoch_1.pt") -> Write:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return write


def parametrized(change: Callable[[Any], Any]) -> Write:
    def write(folder: Path) -> None:
        network = train_network(0)
        change(network)
        save(network.state_dict(), folder / "epoch_1.pt")

    return write


def torchscript(folder: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(folder / "epoch_1.pt"))


def whole_network(folder: Path) -> None:
    save(nn.Linear(2, 2), folder / "epoch_1.pt")


def adapters(folder: Path) -> None:
    at = folder / "checkpoint-100"
    at.mkdir()
    save_file({"base_model.model.fc.lora_A.weight": torch.ones(2, 8)}, at / "adapter_model.safetensors")
    (at / "adapter_config.json").write_text('{"peft_type": "LORA"}')


def unmerged_adapters(folder: Path) -> None:
    tensors = {
        name.replace("fc.", "fc.base_layer."): value for name, value in state(train_network(0)).items()
    }
    tensors["fc.lora_A.default.weight"] = torch.ones(2, 8)
    save({f"base_model.model.{name}": value for name, value in tensors.items()}, folder / "epoch_1.pt")


def zero_3(folder: Path) -> None:
    for rank in range(2):
        name = f"zero_pp_rank_{rank}_mp_rank_00_model_states.pt"
        save({"module": {}, "global_steps": 100}, folder / "global_step100" / name)


def tensor_parallel(folder: Path) -> None:
    for rank in range(2):
        save({"module": {}}, folder / "global_step100" / f"mp_rank_{rank:02}_model_states.pt")


def missing_shard(folder: Path) -> None:
    save_hugging_face(folder / "checkpoint-5", train_network(0), 1, 5, "sharded safetensors")
    (folder / "checkpoint-5" / "model-00002-of-00002.safetensors").unlink()


def exported_learner(folder: Path) -> None:
    (folder / "export.pkl").write_bytes(pickle.dumps({}))


def numpy_archive(folder: Path) -> None:
    with (folder / "epoch_1.pt").open("wb") as file:
        np.savez(file, weight=np.ones(3))


def cut_off(folder: Path) -> None:
    save(state(train_network(0)), folder / "epoch_1.pt")
    whole = (folder / "epoch_1.pt").read_bytes()
    (folder / "epoch_1.pt").write_bytes(whole[: len(whole) // 2])


def two_trainings(folder: Path) -> None:
    for fold in range(2):
        for epoch in range(2):
            save(
                {"epoch": epoch, "model": state(train_network(10 * fold + epoch))},
                folder / f"fold{fold}/epoch_{epoch}.pt",
            )


def two_files_of_one_epoch(folder: Path) -> None:
    for position, accuracy in enumerate((0.8, 0.9)):
        save(state(train_network(position)), folder / f"epoch_3_acc{accuracy}.pt")


def no_epoch(folder: Path) -> None:
    save(state(train_network(0)), folder / "resnet18_lr1e-4_bs256_seed1_2024-05-17.pt")


def two_numbers(folder: Path) -> None:
    save(state(train_network(0)), folder / "3_91.pt")


def two_networks(folder: Path) -> None:
    save({"generator": state(train_network(0)), "critic": state(train_network(1))}, folder / "epoch_1.pt")


def averaged_only(folder: Path) -> None:
    save({"model_ema": state(train_network(0)), "epoch": 1}, folder / "epoch_1.pt")


def averages_of_mmcv(folder: Path) -> None:
    tensors = state(train_network(0))
    flat = {"ema_" + name.replace(".", "_"): value + 1 for name, value in tensors.items()}
    save({"meta": {"epoch": 1}, "state_dict": tensors | flat}, folder / "epoch_1.pth")


def sharded_weights(folder: Path) -> None:
    index = {"weight_map": {"fc.weight": "model-00001-of-00001.safetensors"}}
    (folder / "checkpoint-5").mkdir()
    (folder / "checkpoint-5" / "model.safetensors.index.json").write_text(json.dumps(index))


_FLOATS = "save the weights as floats, before they are quantized"
REFUSED = (
    Refused("a whole pickled network, or other code", "refused, since reading it would run code", "save `model.state_dict()`; `--trust-pickle` only if you trust whoever made the file", whole_network),
    Refused("TorchScript", "is TorchScript, a network with its code", "`torch.jit.load(path).state_dict()`", torchscript),
    Refused("PEFT's adapters alone", "holds adapters of PEFT (LORA) without their network", "`merge_and_unload().state_dict()`", adapters),
    Refused("a network with PEFT's adapters in it", "adapters (PEFT) that are not merged", "`merge_and_unload().state_dict()`", unmerged_adapters),
    Refused("`parametrizations.spectral_norm`", "kept in parts by spectral_norm (in conv1)", "a `--model python:...` whose factory applies it", parametrized(lambda network: parametrizations.spectral_norm(network.conv1))),
    Refused("`parametrizations.weight_norm`", "kept in parts by weight_norm (in fc)", "a `--model python:...` whose factory applies it", parametrized(lambda network: parametrizations.weight_norm(network.fc))),
    Refused("`torch.nn.utils.spectral_norm`, of before", "torch.nn.utils.remove_spectral_norm", "a `--model python:...` whose factory applies it", parametrized(lambda network: nn.utils.spectral_norm(network.conv1))),
    Refused("`torch.nn.utils.weight_norm`, of before", "torch.nn.utils.remove_weight_norm", "a `--model python:...` whose factory applies it", parametrized(lambda network: nn.utils.weight_norm(network.fc))),
    Refused("another parametrization", "kept in parts by other parametrizations (in fc)", "a `--model python:...` whose factory applies it", parametrized(lambda network: parametrizations.orthogonal(network.fc))),
    Refused("DeepSpeed's ZeRO-3", "DeepSpeed's ZeRO-3 keeps the weights in parts", "`zero_to_fp32.py`, which lies beside them", zero_3),
    Refused("DeepSpeed with tensor parallelism", "kept the weights in parts (tensor parallelism)", "put them together in the training program", tensor_parallel),
    Refused("weights of integers", "integers in conv1.weight", _FLOATS, with_weight(lambda w: w.to(torch.int8))),
    Refused("weights of 8-bit floats", "floats of float8_e4m3fn in conv1.weight", _FLOATS, with_weight(lambda w: w.to(torch.float8_e4m3fn))),
    Refused("quantized weights", "a quantized tensor in conv1.weight", _FLOATS, with_weight(lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8))),
    Refused("complex weights", "complex numbers in conv1.weight", "save the real weights", with_weight(lambda w: w.to(torch.complex64))),
    Refused("sparse weights", "a sparse tensor in conv1.weight", "`tensor.to_dense()`", with_weight(lambda w: w.to_sparse())),
    Refused("weights without values (device meta)", "conv1.weight on the device meta", "save after the weights are loaded", with_weight(lambda w: w.to("meta"))),
    Refused("a shard is missing", "1 of its 2 shards are missing; expected model-00002-of-00002.safetensors", "copy the whole folder", missing_shard),
    Refused("an index without shards", "1 of its 1 shards are missing", "copy the whole folder", sharded_weights),
    Refused("a git-lfs pointer", "damaged; found a git-lfs pointer, not the file itself", "`git lfs pull`", with_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")),
    Refused("a web page", "damaged; found a web page", "download it again", with_bytes(b"\n<!DOCTYPE html><html>404</html>", "epoch_1.safetensors")),
    Refused("an empty file", "damaged; found an empty file", "download or copy it again", with_bytes(b"")),
    Refused("cut off", "damaged; found the beginning of an archive whose end is missing", "download or copy it again", cut_off),
    Refused("ONNX", "not a checkpoint of PyTorch; found an ONNX network", "`torch.save(model.state_dict(), path)`", with_bytes(b"\x08\x08\x12\x07pytorch\x1a\x052.6.0:" + b"x" * 99)),
    Refused("HDF5, as Keras writes", "not a checkpoint of PyTorch; found an HDF5 file", "`torch.save(model.state_dict(), path)`", with_bytes(b"\x89HDF\r\n\x1a\n" + b"x" * 99)),
    Refused("NumPy's archives", "not a checkpoint of PyTorch; found an archive of NumPy arrays", "`torch.save(model.state_dict(), path)`", numpy_archive),
    Refused("a packed archive", "not a checkpoint of PyTorch; found a gzip archive", "unpack it", with_bytes(b"\x1f\x8b" + b"x" * 99, "epoch_1.pth.tar")),
    Refused("fastai's `export.pkl`", "a Learner that fastai exported, whole and with its code", "`learn.save('model_1')`", exported_learner),
    Refused("two state dicts under unknown names", "holds 2 state dicts", "save the one that is meant alone", two_networks),
    Refused("only averaged weights, where raw ones are asked for", "holds only averaged weights", "`--weights ema`", averaged_only),
    Refused("MMCV's averages beside the weights", "holds weights and their averages, and not which are which", "save the one that is meant alone", averages_of_mmcv),
    Refused("two trainings, folds or networks in one folder", "several trainings or networks lie in one run's folder", "`--run` for each", two_trainings),
    Refused("two files of one epoch with different weights", "epoch 3 is also that of epoch_3_acc0.9.pt, with other weights", "remove one", two_files_of_one_epoch),
    Refused("no epoch", "no epoch: neither stored in it nor a number in its name that counts epochs", "rename it, or store `epoch`", no_epoch),
    Refused("two numbers that could be the epoch", "no epoch: none is stored in it, and 3 and 91 in its name could both be one", "rename it, or store `epoch`", two_numbers),
)  # fmt: skip


def refused_table() -> str:
    """All rows, as Markdown."""
    lines = ["| what is found | what cmon says | way out |", "|---|---|---|"]
    lines += [f"| {row.what} | `{row.says}` | {row.way_out} |" for row in REFUSED]
    return "\n".join(lines) + "\n"
