"""Checkpoints of the tiny network, and that a folder of them is read as `cmon extract` reads it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cmon.checkpoints.checkpoint import Checkpoint, read_unchanged
from cmon.extraction.fitting import fit_networks
from cmon.extraction.network import build_network
from cmon.extraction.settings import ExtractSettings
from cmon.progress import silent
from tests.support import tiny_models

NETWORK = "python:tests.support.tiny_models:network"


def train_network(seed: int) -> nn.Module:
    """The tiny network with weights of a seed, in eval mode."""
    torch.manual_seed(seed)
    return tiny_models.network().eval()


def train_networks() -> dict[float, nn.Module]:
    """Networks of three epochs."""
    return {float(epoch): train_network(epoch) for epoch in (0, 1, 4)}


def step_optimizer(network: nn.Module) -> torch.optim.Optimizer:
    """An optimizer of the network after one step, so that it has a state to save."""
    adam = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 3, 16, 16)).sum().backward()
    adam.step()
    adam.zero_grad()
    return adam


def check_folder(folder: Path, expected: dict[float, nn.Module], weights: str = "raw") -> list[Checkpoint]:
    """Assert that a folder gives just these epochs, each with just this network's activations."""
    settings = ExtractSettings(NETWORK, ("conv2",), weights=weights)
    found = [one for _, one in fit_networks({"run": folder}, settings, (), silent).checkpoints]
    read = [one for one in found if one.error is None]
    assert {one.epoch for one in read} == set(expected), [(one.name, one.epoch, one.error) for one in found]
    for one in read:
        assert one.epoch is not None
        network = build_network(NETWORK, {}, read_unchanged(one))
        assert torch.equal(_activations(network), _activations(expected[one.epoch].cpu().eval())), one.name
        assert (one.tensors, one.tensors_matched, one.weights) == (6, 6, weights)
    return found


def _activations(network: Any) -> Tensor:
    images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(9))
    with torch.inference_mode():
        return network.conv2(network.conv1(images).relu())


def save_hugging_face(folder: Path, network: nn.Module, epoch: float, step: int, form: str) -> None:
    """Save a folder as the Trainer does, with the network as the attribute `model` of what was trained.

    form: 'safetensors' or 'bin', or 'sharded' and one of them.
    """
    folder.mkdir(parents=True)
    tensors = {f"model.{name}": value.clone() for name, value in network.state_dict().items()}
    suffix = "safetensors" if form.endswith("safetensors") else "bin"
    base = "model" if suffix == "safetensors" else "pytorch_model"

    def save(part: dict[str, Tensor], name: str) -> None:
        if suffix == "safetensors":
            save_file(part, folder / name, {"format": "pt"})
        else:
            torch.save(part, folder / name)

    if form.startswith("sharded"):
        names = list(tensors)
        files = {name: f"{base}-0000{1 + index // 4}-of-00002.{suffix}" for index, name in enumerate(names)}
        for file in set(files.values()):
            save({name: tensors[name] for name in names if files[name] == file}, file)
        index = {"metadata": {"total_size": 1}, "weight_map": files}
        (folder / f"{base}.{suffix}.index.json").write_text(json.dumps(index))
    else:
        save(tensors, f"{base}.{suffix}")
    (folder / "trainer_state.json").write_text(json.dumps({"epoch": epoch, "global_step": step}))
    torch.save({"state": {}}, folder / "optimizer.pt")
    torch.save({"last_epoch": 1}, folder / "scheduler.pt")
    torch.save({"cpu": torch.get_rng_state()}, folder / "rng_state.pth")
    torch.save(argparse.Namespace(lr=1), folder / "training_args.bin")
