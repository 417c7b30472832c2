"""What cmon reads: for each training program, what it leaves, and how it is read. Tests run every row.

docs/reference/checkpoints-read.md is made from these rows.
"""

# ruff: noqa: E501 - a row of the table is a line
from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.support import tiny_models
from tests.support.checkpoints import save_hugging_face, train_network

State = dict[str, Tensor]
Write = Callable[[Path, int, nn.Module], None]
"""Writes into a run's folder what the program leaves after an epoch (0, 1 or 4) for a network."""


@dataclass(frozen=True)
class Read:
    """One row: a program, and how its files are read."""

    program: str
    leaves: str
    epoch: str
    """Where the epoch comes from."""
    write: Write
    weights: str = ""
    """Which weights `raw` and `ema` are, where there are both."""
    by: Callable[[int], float] = float
    """The epoch that cmon gives to one of the epochs 0, 1 and 4."""
    averages: bool = False
    """Whether there are averaged weights, those of `average_of`."""


def average_of(network: nn.Module) -> nn.Module:
    """Stands for the average of a network's weights."""
    averaged = tiny_models.network()
    averaged.load_state_dict({name: value * 0.5 + 0.25 for name, value in network.state_dict().items()})
    return averaged.eval()


def state(network: nn.Module, prefix: str = "") -> State:
    return {prefix + name: value.clone() for name, value in network.state_dict().items()}


def save(content: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)


def torchvision(folder: Path, epoch: int, network: nn.Module) -> None:
    content = {
        "model": state(network),
        "model_ema": {**state(average_of(network), "module."), "n_averaged": torch.tensor(3)},
        "epoch": epoch,
        "args": argparse.Namespace(lr=0.1),
    }
    save(content, folder / f"model_{epoch}.pth")
    save(content, folder / "checkpoint.pth")


def timm(folder: Path, epoch: int, network: nn.Module) -> None:
    content = {
        "epoch": epoch, "arch": "tiny", "state_dict": state(network), "state_dict_ema": state(average_of(network)),
    }  # fmt: skip
    save(content, folder / f"checkpoint-{epoch}.pth.tar")
    save(content, folder / "last.pth.tar")
    save({**content, "state_dict": state(train_network(90))}, folder / f"recovery-{epoch}-500.pth.tar")


def lightning(folder: Path, epoch: int, network: nn.Module) -> None:
    content = {
        "epoch": epoch, "global_step": 100 * epoch + 100, "pytorch-lightning_version": "2.6.0",
        "state_dict": state(average_of(network), "net."), "current_model_state": state(network, "net."),
        "averaging_state": {"n_averaged": torch.tensor(3)},
    }  # fmt: skip
    save(content, folder / f"epoch={epoch}-step={100 * epoch + 100}.ckpt")
    save(content, folder / "last.ckpt")


def lightning_without_labels(folder: Path, epoch: int, network: nn.Module) -> None:
    save({"epoch": epoch, "state_dict": state(network, "net.")}, folder / f"{epoch:02}-0.{epoch}2.ckpt")


def lightning_by_steps(folder: Path, epoch: int, network: nn.Module) -> None:
    step = 1000 * epoch + 1000
    save(
        {"epoch": 0, "global_step": step, "state_dict": state(network, "net.")},
        folder / f"epoch=0-step={step}.ckpt",
    )


def trainer(folder: Path, epoch: int, network: nn.Module) -> None:
    at = folder / f"checkpoint-{500 * epoch + 500}"
    save_hugging_face(at, network, epoch + 0.5, 500 * epoch + 500, "sharded safetensors" if epoch else "bin")
    save(
        {"module": state(train_network(80)), "global_steps": 7},
        at / "global_step7" / "mp_rank_00_model_states.pt",
    )


def accelerate(folder: Path, epoch: int, network: nn.Module) -> None:
    at = folder / "checkpoints" / f"checkpoint_{epoch}"
    at.mkdir(parents=True)
    save_file(state(network), at / "model.safetensors", {"format": "pt"})
    save_file({"weight": torch.ones(2)}, at / "model_1.safetensors", {"format": "pt"})
    save({"step": 5}, at / "random_states_0.pkl")
    save({"state": {}}, at / "optimizer.bin")
    save({"scale": 1.0}, at / "scaler.pt")


def deepspeed(folder: Path, epoch: int, network: nn.Module) -> None:
    at = folder / f"global_step{100 * epoch + 100}"
    half = {name: value.bfloat16() for name, value in state(network).items()}
    network.load_state_dict(half)  # what was trained, and what is kept
    save(
        {"module": half, "global_steps": 100 * epoch + 100, "ds_version": "0.16"},
        at / "mp_rank_00_model_states.pt",
    )
    save({"optimizer_state_dict": {}}, at / "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt")
    (folder / "latest").write_text(at.name)


def mmengine(folder: Path, epoch: int, network: nn.Module) -> None:
    average = state(average_of(network), "backbone.")
    raw = state(network, "module.backbone.")
    meta = {"epoch": epoch, "iter": epoch * 100, "mmengine_version": "0.10.7", "time": "20240517_103000"}
    content = {"meta": meta, "state_dict": average, "ema_state_dict": {"steps": torch.tensor(3), **raw}}
    save(content, folder / f"epoch_{epoch}.pth")
    save(content, folder / f"best_accuracy_top1_epoch_{epoch}.pth")


def mmengine_by_iterations(folder: Path, epoch: int, network: nn.Module) -> None:
    meta = {"epoch": 0, "iter": 4000 * epoch + 4000, "mmengine_version": "0.10.7"}
    save({"meta": meta, "state_dict": state(network)}, folder / f"iter_{4000 * epoch + 4000}.pth")


def ignite(folder: Path, epoch: int, network: nn.Module) -> None:
    content = {
        "model": state(network), "ema_model": state(average_of(network)), "optimizer": {"state": {}},
        "trainer": {"epoch_length": 30, "max_epochs": 10, "iteration": 30 * epoch},
    }  # fmt: skip
    save(content, folder / f"training_checkpoint_{30 * epoch}.pt")


def ignite_best(folder: Path, epoch: int, network: nn.Module) -> None:
    save(state(network), folder / f"best_model_{epoch}_accuracy=0.9{epoch}00.pt")


def fastai(folder: Path, epoch: int, network: nn.Module) -> None:
    save(
        {"model": state(network), "opt": {"state": [], "hypers": [{"lr": 0.1}]}},
        folder / f"model_{epoch}.pth",
    )


def composer(folder: Path, epoch: int, network: nn.Module) -> None:
    time = {"epoch": epoch, "batch": 100 * epoch, "total_wct": datetime.timedelta(seconds=3)}
    content = {
        "state": {"model": state(network, "module."), "timestamp": {"Timestamp": time}, "run_name": "1700000000-x"},
        "rng": [{"torch": torch.get_rng_state()}],
    }  # fmt: skip
    save(content, folder / f"ep{epoch}-ba{100 * epoch}-rank0.pt")
    save(content, folder / "latest-rank0.pt")


def dino(folder: Path, epoch: int, network: nn.Module) -> None:
    content = {
        "student": {**state(network, "module.backbone."), "module.head.weight": torch.ones(2)},
        "teacher": {**state(average_of(network), "backbone."), "head.weight": torch.ones(2)},
        "dino_loss": {"center": torch.zeros(1, 4)}, "epoch": epoch, "args": argparse.Namespace(lr=0.1),
    }  # fmt: skip
    save(content, folder / f"checkpoint{epoch:04}.pth")
    save(content, folder / "checkpoint.pth")


def moco(folder: Path, epoch: int, network: nn.Module) -> None:
    both = state(network, "module.encoder_q.") | state(average_of(network), "module.encoder_k.")
    content = {"epoch": epoch + 1, "arch": "tiny", "state_dict": {**both, "module.queue": torch.zeros(2, 3)}}
    save(content, folder / f"checkpoint_{epoch:04}.pth.tar")


def detectron2(folder: Path, epoch: int, network: nn.Module) -> None:
    step = 5000 * epoch + 4999
    save({"model": state(network), "iteration": step}, folder / f"model_{step:07}.pth")


def robustness(folder: Path, epoch: int, network: nn.Module) -> None:
    content = {"model": state(network, "module.model."), "epoch": epoch + 1}
    save(content, folder / f"{epoch}_checkpoint.pt")
    save(content, folder / "checkpoint.pt.latest")


def open_lth(folder: Path, epoch: int, network: nn.Module) -> None:
    save(state(network), folder / f"model_ep{epoch}_it0.pth")
    save(state(train_network(70)), folder / f"model_ep{epoch}_it20.pth")


def distributed(folder: Path, epoch: int, network: nn.Module) -> None:
    import torch.distributed.checkpoint as dcp

    dcp.save(
        {"model": state(network), "epoch": epoch}, checkpoint_id=str(folder / f"save_{epoch}"), no_dist=True
    )


def swa(folder: Path, epoch: int, network: nn.Module) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(average_of(network))
    save(
        {"epoch": epoch, "model": state(network), "swa_model": averaged.state_dict()},
        folder / f"epoch_{epoch}.pt",
    )


def twin_files(folder: Path, epoch: int, network: nn.Module) -> None:
    save(state(network), folder / f"epoch_{epoch}.pth")
    save(state(average_of(network)), folder / f"epoch_{epoch}_ema.pth")


def own_program(folder: Path, epoch: int, network: nn.Module) -> None:
    name = f"resnet18_224x224_lr1e-4_wd0.05_bs256_seed1_20240517_103000_e100_{epoch}_acc91.{epoch}.pt"
    save({"net": state(network, "module."), "best": np.float64(0.5)}, folder / name)


def own_folders(folder: Path, epoch: int, network: nn.Module) -> None:
    save(state(network), folder / f"Epoch_{epoch}" / "vit_b_16.pt")


READ = (
    Read("torchvision references", "`model_3.pth`, `checkpoint.pth`", "stored", torchvision, "`model`, `model_ema`", averages=True),
    Read("timm", "`checkpoint-3.pth.tar`, `last`, `model_best`, `recovery-3-500`", "stored; a recovery file counts only where its epoch has no other", timm, "`state_dict`, `state_dict_ema`", averages=True),
    Read("PyTorch Lightning", "`epoch=3-step=400.ckpt`, `-v1`, `last.ckpt`", "stored", lightning, "with `WeightAveraging`: `current_model_state`, `state_dict`", averages=True),
    Read("PyTorch Lightning, `auto_insert_metric_name=False`", "`03-0.12.ckpt`", "stored, else the first number", lightning_without_labels),
    Read("PyTorch Lightning, one long epoch", "`epoch=0-step=1000.ckpt`", "the step, since the epoch never varies", lightning_by_steps, by=lambda epoch: 1000.0 * epoch + 1000),
    Read("Hugging Face Trainer", "`checkpoint-500/`: `model.safetensors` or `pytorch_model.bin`, whole or in shards", "`trainer_state.json`; a fraction in the middle of an epoch. DeepSpeed's folder inside is passed over", trainer, by=lambda epoch: epoch + 0.5),
    Read("Accelerate `save_state`", "`checkpoints/checkpoint_3/`: `model.safetensors`, `random_states_0.pkl`; `epoch_3/`, `step_300/`", "the folder's number, which counts what was saved; several networks in one folder are told apart by what fits", accelerate),
    Read("DeepSpeed, ZeRO 1 and 2", "`global_step300/mp_rank_00_model_states.pt`", "the step, or an epoch in the client state; weights of 16 bits become floats", deepspeed, by=lambda epoch: 100.0 * epoch + 100),
    Read("MMEngine", "`epoch_3.pth`, `best_*_epoch_3.pth`", "`meta`", mmengine, "with `EMAHook`: `ema_state_dict`, `state_dict` (it exchanges them)", averages=True),
    Read("MMEngine, by iterations", "`iter_4000.pth`", "the step, since `meta` has one epoch for all", mmengine_by_iterations, by=lambda epoch: 4000.0 * epoch + 4000),
    Read("Ignite, with its trainer", "`checkpoint_90.pt`", "iterations by `epoch_length`", ignite, "`model`, `ema_model`", averages=True),
    Read("Ignite, a network alone", "`best_model_3_accuracy=0.9000.pt`", "the number behind `model`", ignite_best),
    Read("fastai", "`model_3.pth` of `SaveModelCallback`", "name", fastai),
    Read("Composer", "`ep3-ba300-rank0.pt`, `latest-rank0.pt`", "its time stamp", composer),
    Read("DINO", "`checkpoint0040.pth`", "stored", dino, "`student`, `teacher`", averages=True),
    Read("MoCo", "`checkpoint_0003.pth.tar`", "stored (one more than in the name: cmon says so)", moco, "`encoder_q`, `encoder_k`", by=lambda epoch: epoch + 1.0, averages=True),
    Read("detectron2", "`model_0004999.pth`", "the step, since the number in the name is the stored iteration", detectron2, by=lambda epoch: 5000.0 * epoch + 4999),
    Read("MadryLab robustness", "`3_checkpoint.pt`, `checkpoint.pt.latest`", "stored (one more than in the name: cmon says so)", robustness, by=lambda epoch: epoch + 1.0),
    Read("open_lth", "`model_ep3_it0.pth`", "name; files from the middle of an epoch count only where there is no other", open_lth),
    Read("torch.distributed.checkpoint", "a folder with `.metadata` and `*.distcp`", "stored, or the folder's name", distributed),
    Read("torch `AveragedModel` beside the network", "`epoch_3.pt`", "stored", swa, "`model`, `swa_model`", averages=True),
    Read("averages in files of their own", "`epoch_3.pth`, `epoch_3_ema.pth`", "name", twin_files, "by the file's name", averages=True),
    Read("own programs", "`resnet18_lr1e-4_wd0.05_bs256_seed1_20240517_e100_3_acc91.2.pt`", "name: the number that differs from file to file and is no measurement, date or setting", own_program),
    Read("own programs, a folder for each epoch", "`Epoch_3/vit_b_16.pt`", "the folder's name", own_folders),
)  # fmt: skip


def read_table() -> str:
    """All rows, as Markdown."""
    lines = [
        "| training program | what it leaves | epoch | `--weights raw`, `--weights ema` |",
        "|---|---|---|---|",
    ]
    lines += [f"| {row.program} | {row.leaves} | {row.epoch} | {row.weights} |" for row in READ]
    return "\n".join(lines) + "\n"
