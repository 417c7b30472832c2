"""What training programs write, by the program itself where it is installed, read back to the same activations."""

from __future__ import annotations

import argparse
import copy
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import prune

from cmon.checkpoints import checkpoint, runs
from cmon.checkpoints import find as folders
from cmon.checkpoints.checkpoint import Checkpoint
from cmon.errors import CmonError
from cmon.extraction import fitting
from cmon.extraction import network as models
from tests.support import tiny_models

NETWORK = "python:tests.support.tiny_models:network"


def trained(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return tiny_models.network().eval()


def activations(network: nn.Module) -> Tensor:
    images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(9))
    with torch.inference_mode():
        return network.conv2(network.conv1(images).relu())


def same(folder: Path, expected: dict[float, nn.Module], weights: str = "raw") -> list[Checkpoint]:
    """Read a folder as `cmon extract` does: just these epochs, each with just this network's activations."""
    found, _, _ = fitting.fitted({"run": folder}, settings(weights), (), lambda items, *_: items)
    read = [one for _, one in found if one.error is None]
    assert {one.epoch for one in read} == set(expected), [
        (one.name, one.epoch, one.error) for _, one in found
    ]
    for one in read:
        assert one.epoch is not None
        network = models.build(NETWORK, {}, checkpoint.unchanged(one))
        assert torch.equal(activations(network), activations(expected[one.epoch].cpu().eval())), one.name
        assert (one.tensors, one.tensors_matched, one.weights) == (6, 6, weights)
    return [one for _, one in found]


def settings(weights: str = "raw") -> fitting.ExtractSettings:
    return fitting.ExtractSettings(NETWORK, ("conv2",), weights=weights)


def optimizer(network: nn.Module) -> torch.optim.Optimizer:
    adam = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 3, 16, 16)).sum().backward()
    adam.step()
    adam.zero_grad()
    return adam


@pytest.fixture
def networks() -> dict[float, nn.Module]:
    return {float(epoch): trained(epoch) for epoch in (0, 1, 4)}


# -- torch.save ----------------------------------------------------------------------------------------


def test_torchvisions_references(tmp_path: Path, networks: dict[float, nn.Module]) -> None:
    averages = {}
    for epoch, network in networks.items():
        adam = optimizer(network)
        averaged = torch.optim.swa_utils.AveragedModel(trained(100 + int(epoch)))
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
    (latest, *_) = same(tmp_path, networks)
    assert latest.error == "epoch 4 is already given by model_4.pth"
    found = same(tmp_path, averages, "ema")
    assert (found[1].wrapper, found[1].prefix) == ("model_ema", "module.")


@pytest.mark.parametrize("wrapper", ["", "module.", "_orig_mod.", "_orig_mod.module."])
def test_raw_state_dicts(tmp_path: Path, networks: dict[float, nn.Module], wrapper: str) -> None:
    for epoch, network in networks.items():
        content = {wrapper + name: value for name, value in network.state_dict().items()}
        torch.save(content, tmp_path / f"resnet18_epoch{int(epoch)}.pt")
    same(tmp_path, networks)


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
    same(tmp_path, networks)


def test_open_clips_trainer(tmp_path: Path, networks: dict[float, nn.Module]) -> None:
    for epoch, network in networks.items():
        tower = {f"module.visual.{name}": value for name, value in network.state_dict().items()}
        content = {
            "epoch": int(epoch),
            "name": "a run",
            "state_dict": {**tower, "module.logit_scale": torch.tensor(1.0)},
            "optimizer": optimizer(network).state_dict(),
        }
        content["state_dict"] |= {
            f"module.visual.{name}": value.clone() for name, value in network.state_dict().items()
        }
        torch.save(content, tmp_path / f"epoch_{int(epoch)}.pt")
    assert same(tmp_path, networks)[0].prefix == "module.visual."


def test_open_lth(tmp_path: Path, networks: dict[float, nn.Module]) -> None:
    for epoch, network in networks.items():
        torch.save(network.state_dict(), tmp_path / f"model_ep{int(epoch)}_it0.pth")
    torch.save(trained(50).state_dict(), tmp_path / "model_ep0_it20.pth")
    newest = {
        "ep": 4,
        "it": 0,
        "model_state_dict": networks[4.0].state_dict(),
        "optimizer_state_dict": {},
        "logger": "",
    }
    torch.save(newest, tmp_path / "checkpoint.pth")
    same(tmp_path, networks)


def test_a_pruned_network(tmp_path: Path, networks: dict[float, nn.Module]) -> None:
    for epoch, network in networks.items():
        for part in (network.conv1, network.conv2):
            prune.l1_unstructured(part, "weight", amount=0.3 + epoch / 10)
        torch.save({"state_dict": network.state_dict(), "epoch": epoch}, tmp_path / f"{epoch:.0f}.pt")
    same(tmp_path, networks)


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
        adam = optimizer(network)
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
    assert same(tmp_path, networks)[0].prefix == "module.model."


def test_a_normaliser_that_is_not_the_preprocessings_is_refused(tmp_path: Path) -> None:
    whole = Attacked(trained(0), (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.201))
    torch.save({"model": whole.state_dict(), "epoch": 1}, tmp_path / "1.pt")
    with pytest.raises(
        CmonError, match=r"another normaliser(.|\n)*0\.4914 0\.4822 0\.4465(.|\n)*--mean and --std"
    ):
        same(tmp_path, {1.0: trained(0)})


# -- timm ----------------------------------------------------------------------------------------------


def test_timm(tmp_path: Path, networks: dict[float, nn.Module]) -> None:
    from timm.utils import CheckpointSaver, ModelEmaV3

    network, adam = tiny_models.network(), None
    average = ModelEmaV3(network, decay=0.5)
    adam = optimizer(network)
    arguments = argparse.Namespace(model="tiny", lr=0.1)
    saver = CheckpointSaver(
        network, adam, args=arguments, model_ema=average, checkpoint_dir=str(tmp_path),
        recovery_dir=str(tmp_path), max_history=2,
    )  # fmt: skip
    averages = {}
    for epoch, metric in ((0, 0.3), (1, 0.1), (2, 0.2), (3, 0.15)):
        network.load_state_dict(trained(epoch).state_dict())
        average.update(network)
        averages[float(epoch)] = copy.deepcopy(average.module)
        saver.save_checkpoint(epoch, metric)
    saver.save_recovery(3, 20)
    names = {
        one.name: one.error for one in same(tmp_path, {float(epoch): trained(epoch) for epoch in (0, 2, 3)})
    }
    assert names["model_best.pth.tar"] == "the same file as checkpoint-0.pth.tar"
    assert names["last.pth.tar"] is None, "the newest epoch was not among the best, and is only there"
    same(tmp_path, {epoch: averages[epoch] for epoch in (0.0, 2.0, 3.0)}, "ema")


# -- Lightning -----------------------------------------------------------------------------------------


def test_lightning_by_hand(tmp_path: Path, networks: dict[float, nn.Module]) -> None:
    averages = {epoch: trained(70 + int(epoch)) for epoch in networks}
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
    found = [one for one in same(tmp_path, networks) if one.error is None]
    assert [(one.step, one.prefix, "-v1" in one.name) for one in found] == [
        (0, "net.", True), (100, "net.", True), (400, "net.", True),
    ]  # fmt: skip
    same(tmp_path, averages, "ema")


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
    found = same(tmp_path / "run", expected)
    assert [(one.step, one.prefix) for one in found if one.error is None] == [
        (2, "backbone."), (4, "backbone."), (6, "backbone."),
    ]  # fmt: skip
    assert len(found) == 4


# -- Hugging Face --------------------------------------------------------------------------------------


def hugging_face(folder: Path, network: nn.Module, epoch: float, step: int, form: str) -> None:
    """A folder as the Trainer leaves it, with the weights of a network held as `model`."""
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


@pytest.mark.parametrize("form", ["safetensors", "bin", "sharded safetensors", "sharded bin"])
def test_the_trainers_folders_by_hand(tmp_path: Path, form: str) -> None:
    expected = {0.5: trained(1), 1.0: trained(2), 2.0: trained(3)}
    for epoch, network in expected.items():
        hugging_face(tmp_path / f"checkpoint-{epoch * 200:.0f}", network, epoch, int(epoch * 200), form)
    found = same(tmp_path, expected)
    assert [(one.name, one.step, one.kind) for one in found] == [
        ("checkpoint-100", 100, "hugging face"),
        ("checkpoint-200", 200, "hugging face"),
        ("checkpoint-400", 400, "hugging face"),
    ]


def test_a_shard_that_is_missing_is_named(tmp_path: Path) -> None:
    hugging_face(tmp_path / "checkpoint-5", trained(0), 1, 5, "sharded safetensors")
    (tmp_path / "checkpoint-5" / "model-00002-of-00002.safetensors").unlink()
    found = checkpoint.inspect(tmp_path / "checkpoint-5", tmp_path)
    assert found.error is not None
    assert "1 of its 2 shards are missing; expected model-00002-of-00002.safetensors" in found.error


@pytest.mark.parametrize("name", ["trainer_state.json", "model.safetensors.index.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'"text"', b'{"weight_map": 3}'])
def test_damaged_notes_in_a_folder_are_a_reason(tmp_path: Path, name: str, content: bytes) -> None:
    hugging_face(tmp_path / "checkpoint-5", trained(0), 1, 5, "sharded safetensors")
    (tmp_path / "checkpoint-5" / name).write_bytes(content)
    found = checkpoint.inspect(tmp_path / "checkpoint-5", tmp_path)
    if name != "trainer_state.json" or not content.startswith(b'{"'):
        assert found.error is not None
        assert "damaged" in found.error


def test_any_changed_byte_of_a_folder_changes_its_hash(tmp_path: Path) -> None:
    hugging_face(tmp_path / "checkpoint-5", trained(0), 1, 5, "sharded safetensors")
    hashes = {checkpoint.inspect(tmp_path / "checkpoint-5", tmp_path).sha256}
    for name in ("model-00002-of-00002.safetensors", "trainer_state.json"):
        path = tmp_path / "checkpoint-5" / name
        path.write_bytes(path.read_bytes() + b" ")
        hashes.add(checkpoint.inspect(tmp_path / "checkpoint-5", tmp_path).sha256)
    assert len(hashes) == 3


@pytest.mark.filterwarnings("ignore")
def test_the_trainer_itself(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    expected: dict[float, nn.Module] = {}

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = tiny_models.network()

        def forward(self, pixels: Tensor, labels: Tensor) -> dict[str, Tensor]:
            logits = self.network(pixels)
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    class Keep(transformers.TrainerCallback):
        def on_save(self, _: Any, state: Any, __: Any, **more: Any) -> None:
            expected[state.epoch] = copy.deepcopy(more["model"].network)

    data = [{"pixels": torch.randn(3, 16, 16), "labels": index} for index in range(4)]
    arguments = transformers.TrainingArguments(
        str(tmp_path / "run"), num_train_epochs=2, per_device_train_batch_size=2, save_strategy="steps",
        save_steps=1, report_to=[], use_cpu=True, disable_tqdm=True, learning_rate=0.1,
    )  # fmt: skip
    transformers.Trainer(Classifier(), arguments, train_dataset=data, callbacks=[Keep()]).train()
    assert sorted(expected) == [0.5, 1.0, 1.5, 2.0]
    found = same(tmp_path / "run", expected)
    assert [(one.kind, one.step, one.prefix) for one in found][:1] == [("hugging face", 1, "network.")]


# -- torch.distributed.checkpoint ----------------------------------------------------------------------


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
        state: dict[str, Any] = {"model": network.state_dict(), "optimizer": optimizer(network).state_dict()}
        state["model"] = {name: value.clone() for name, value in network.state_dict().items()}
        content = {"app": state} if nested == "app" else state["model"] if nested == "plain" else state
        if nested == "model":
            content |= {"epoch": int(epoch), "step": torch.tensor(int(epoch) * 10)}
        save_distributed(content, tmp_path / f"epoch_{epoch:.0f}")
    found = same(tmp_path, networks)
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
    save_distributed({"model": trained(1).state_dict(), **extra}, folder)
    note = folder / folders.METADATA
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
        same(tmp_path, {1.0: trained(1)})
    assert not canary.exists()


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("damage", ["no shard", "half a shard", "half the metadata", "empty"])
def test_a_damaged_distributed_checkpoint_is_a_reason(
    tmp_path: Path, save_distributed: Callable[[dict[str, Any], Path], None], damage: str
) -> None:
    folder = tmp_path / "epoch_1"
    save_distributed({"model": trained(1).state_dict(), "epoch": 1}, folder)
    (shard,), note = folder.glob("*.distcp"), folder / folders.METADATA
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
            checkpoint.unchanged(found)
    else:
        assert "damaged" in found.error or "cannot be read" in found.error


def test_all_kinds_together_are_found_once(tmp_path: Path) -> None:
    hugging_face(tmp_path / "checkpoint-5", trained(0), 1, 5, "safetensors")
    torch.save(trained(1).state_dict(), tmp_path / "epoch_2.pt")
    save_file(trained(3).state_dict(), tmp_path / "epoch_3.safetensors")
    shutil.copytree(tmp_path / "checkpoint-5", tmp_path / "best")
    found = dict((one.name, one) for _, one in runs.survey({"run": tmp_path}))
    assert list(found) == ["best", "checkpoint-5", "epoch_2.pt", "epoch_3.safetensors"]
