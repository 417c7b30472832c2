"""What programs write by torch.save, by the program itself where it is installed, read back to the same activations."""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import prune

from cmon.errors import CmonError
from tests.support import tiny_models
from tests.support.checkpoints import check_folder, step_optimizer, train_network, train_networks


@pytest.fixture
def networks() -> dict[float, nn.Module]:
    return train_networks()


def test_torchvisions_references(tmp_path: Path, networks: dict[float, nn.Module]) -> None:
    averages = {}
    for epoch, network in networks.items():
        adam = step_optimizer(network)
        averaged = torch.optim.swa_utils.AveragedModel(train_network(100 + int(epoch)))
        averages[epoch] = averaged.module
        content = {
            "model": network.state_dict(),
            "optimizer": adam.state_dict(),
            "lr_scheduler": torch.optim.lr_scheduler.StepLR(adam, 3).state_dict(),
            "epoch": int(epoch),
            "args": argparse.Namespace(model="tiny", lr=0.1, output_dir=str(tmp_path), world_size=1),
            "model_ema": averaged.state_dict(),
            "scaler": {"scale": 65536.0},
        }
        torch.save(content, tmp_path / f"model_{int(epoch)}.pth")
        torch.save(content, tmp_path / "checkpoint.pth")
    (latest, *_) = check_folder(tmp_path, networks)
    assert latest.error == "epoch 4 is already given by model_4.pth"
    found = check_folder(tmp_path, averages, "ema")
    assert (found[1].wrapper, found[1].prefix) == ("model_ema", "module.")


@pytest.mark.parametrize("wrapper", ["", "module.", "_orig_mod.", "_orig_mod.module."])
def test_raw_state_dicts(tmp_path: Path, networks: dict[float, nn.Module], wrapper: str) -> None:
    for epoch, network in networks.items():
        content = {wrapper + name: value for name, value in network.state_dict().items()}
        torch.save(content, tmp_path / f"resnet18_epoch{int(epoch)}.pt")
    check_folder(tmp_path, networks)


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_a_folder_for_each_epoch(tmp_path: Path, networks: dict[float, nn.Module], kind: str) -> None:
    for epoch, network in networks.items():
        folder = tmp_path / f"Epoch_{int(epoch)}"
        folder.mkdir()
        (folder / "index.json").write_text("[]")
        if kind == "pth":
            torch.save({"state_dict": network.state_dict()}, folder / "subject_model.pth")
        else:
            save_file(network.state_dict(), folder / "model.safetensors")
    check_folder(tmp_path, networks)


def test_open_clips_trainer(tmp_path: Path, networks: dict[float, nn.Module]) -> None:
    for epoch, network in networks.items():
        tower = {f"module.visual.{name}": value for name, value in network.state_dict().items()}
        content = {
            "epoch": int(epoch),
            "name": "a run",
            "state_dict": {**tower, "module.logit_scale": torch.tensor(1.0)},
            "optimizer": step_optimizer(network).state_dict(),
        }
        content["state_dict"] |= {
            f"module.visual.{name}": value.clone() for name, value in network.state_dict().items()
        }
        torch.save(content, tmp_path / f"epoch_{int(epoch)}.pt")
    assert check_folder(tmp_path, networks)[0].prefix == "module.visual."


def test_open_lth(tmp_path: Path, networks: dict[float, nn.Module]) -> None:
    for epoch, network in networks.items():
        torch.save(network.state_dict(), tmp_path / f"model_ep{int(epoch)}_it0.pth")
    torch.save(train_network(50).state_dict(), tmp_path / "model_ep0_it20.pth")
    newest = {
        "ep": 4,
        "it": 0,
        "model_state_dict": networks[4.0].state_dict(),
        "optimizer_state_dict": {},
        "logger": "",
    }
    torch.save(newest, tmp_path / "checkpoint.pth")
    check_folder(tmp_path, networks)


def test_a_pruned_network(tmp_path: Path, networks: dict[float, nn.Module]) -> None:
    for epoch, network in networks.items():
        for part in (network.conv1, network.conv2):
            prune.l1_unstructured(part, "weight", amount=0.3 + epoch / 10)
        torch.save({"state_dict": network.state_dict(), "epoch": epoch}, tmp_path / f"{epoch:.0f}.pt")
    check_folder(tmp_path, networks)


class Normalise(nn.Module):
    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("new_mean", torch.tensor(mean)[..., None, None])
        self.register_buffer("new_std", torch.tensor(std)[..., None, None])


class Attacked(nn.Module):
    """The names of MadryLab robustness's AttackerModel."""

    def __init__(self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.normalizer = Normalise(mean, std)
        self.model = network
        self.attacker = nn.Module()
        self.attacker.normalize = Normalise(mean, std)
        self.attacker.model = network


@pytest.mark.parametrize("pickled_by", ["pickle", "dill"])
def test_robustness(tmp_path: Path, networks: dict[float, nn.Module], pickled_by: str) -> None:
    module = pytest.importorskip(pickled_by)
    del networks[0.0]
    for epoch, network in networks.items():
        adam = step_optimizer(network)
        whole = nn.DataParallel(Attacked(network, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)))
        content = {
            "model": whole.state_dict(),
            "optimizer": adam.state_dict(),
            "schedule": torch.optim.lr_scheduler.LambdaLR(adam, lambda epoch: 1.0).state_dict(),
            "epoch": int(epoch),
            "amp": None,
            "prec1": torch.tensor(0.5),
        }
        torch.save(content, tmp_path / f"{int(epoch) - 1}_checkpoint.pt", pickle_module=module)
        torch.save(content, tmp_path / "checkpoint.pt.latest", pickle_module=module)
    assert check_folder(tmp_path, networks)[0].prefix == "module.model."


def test_a_normaliser_that_is_not_the_preprocessings_is_refused(tmp_path: Path) -> None:
    whole = Attacked(train_network(0), (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.201))
    torch.save({"model": whole.state_dict(), "epoch": 1}, tmp_path / "1.pt")
    with pytest.raises(
        CmonError, match=r"another normaliser(.|\n)*0\.4914 0\.4822 0\.4465(.|\n)*--mean and --std"
    ):
        check_folder(tmp_path, {1.0: train_network(0)})


# -- timm ----------------------------------------------------------------------------------------------


def test_timm(tmp_path: Path, networks: dict[float, nn.Module]) -> None:
    from timm.utils import CheckpointSaver, ModelEmaV3

    network, adam = tiny_models.network(), None
    average = ModelEmaV3(network, decay=0.5)
    adam = step_optimizer(network)
    arguments = argparse.Namespace(model="tiny", lr=0.1)
    saver = CheckpointSaver(
        network, adam, args=arguments, model_ema=average, checkpoint_dir=str(tmp_path),
        recovery_dir=str(tmp_path), max_history=2,
    )  # fmt: skip
    averages = {}
    for epoch, metric in ((0, 0.3), (1, 0.1), (2, 0.2), (3, 0.15)):
        network.load_state_dict(train_network(epoch).state_dict())
        average.update(network)
        averages[float(epoch)] = copy.deepcopy(average.module)
        saver.save_checkpoint(epoch, metric)
    saver.save_recovery(3, 20)
    names = {
        one.name: one.error
        for one in check_folder(tmp_path, {float(epoch): train_network(epoch) for epoch in (0, 2, 3)})
    }
    assert names["model_best.pth.tar"] == "the same file as checkpoint-0.pth.tar"
    assert names["last.pth.tar"] is None, "the newest epoch was not among the best, and is only there"
    check_folder(tmp_path, {epoch: averages[epoch] for epoch in (0.0, 2.0, 3.0)}, "ema")


# -- Lightning -----------------------------------------------------------------------------------------


def test_lightning_by_hand(tmp_path: Path, networks: dict[float, nn.Module]) -> None:
    averages = {epoch: train_network(70 + int(epoch)) for epoch in networks}
    for epoch, network in networks.items():
        raw = {f"net.{name}": value for name, value in network.state_dict().items()}
        average = {f"net.{name}": value for name, value in averages[epoch].state_dict().items()}
        content = {
            "epoch": int(epoch),
            "global_step": int(epoch) * 100,
            "pytorch-lightning_version": "2.6.0",
            "state_dict": {**average, "loss.weight": torch.ones(5)},
            "current_model_state": {**raw, "loss.weight": torch.ones(5)},
            "averaging_state": {"n_averaged": torch.tensor(3)},
            "hyper_parameters": {"lr": 0.1},
        }
        name = f"epoch={epoch:.0f}-step={epoch * 100:.0f}-val_acc=0.9{epoch:.0f}"
        torch.save(content, tmp_path / f"{name}.ckpt")
        torch.save({**content, "again": True}, tmp_path / f"{name}-v1.ckpt")
        torch.save(content, tmp_path / "last.ckpt")
    found = [one for one in check_folder(tmp_path, networks) if one.error is None]
    assert [(one.step, one.prefix, "-v1" in one.name) for one in found] == [
        (0, "net.", True), (100, "net.", True), (400, "net.", True),
    ]  # fmt: skip
    check_folder(tmp_path, averages, "ema")


@pytest.mark.filterwarnings("ignore")
def test_lightning_itself(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning")
    from lightning.pytorch.callbacks import ModelCheckpoint

    expected: dict[float, nn.Module] = {}

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.save_hyperparameters({"lr": 0.1})
            self.backbone = tiny_models.network()
            self.loss = nn.CrossEntropyLoss(weight=torch.ones(5))

        def training_step(self, batch: Any, _: int) -> Tensor:
            loss = self.loss(self.backbone(batch[0]), batch[1])
            self.log("train_loss", loss)
            return loss

        def on_train_epoch_end(self) -> None:
            expected[float(self.current_epoch)] = copy.deepcopy(self.backbone)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)

    data = torch.utils.data.TensorDataset(torch.randn(4, 3, 16, 16), torch.arange(4))
    saving = ModelCheckpoint(
        tmp_path / "run", "{epoch}-{step}-{train_loss:.2f}", save_top_k=-1, save_last=True,
        save_on_train_epoch_end=True,
    )  # fmt: skip
    trainer = lightning.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, callbacks=[saving], enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(Module(), torch.utils.data.DataLoader(data, batch_size=2))
    found = check_folder(tmp_path / "run", expected)
    assert [(one.step, one.prefix) for one in found if one.error is None] == [
        (2, "backbone."), (4, "backbone."), (6, "backbone."),
    ]  # fmt: skip
    assert len(found) == 4
