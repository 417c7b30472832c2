"""One real checkpoint folder of each program that can be installed, read to the activations of what was trained.

timm and torchvision, Lightning and the Hugging Face Trainer: tests/checkpoints/formats.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cmon.checkpoints import checkpoint
from tests.support import tiny_models
from tests.support.checkpoints import check_folder, train_network

pytestmark = pytest.mark.filterwarnings("ignore")


def data() -> list[tuple[Tensor, Tensor]]:
    return [(torch.randn(2, 3, 16, 16), torch.arange(2)) for _ in range(3)]


@pytest.mark.parametrize("safe", [True, False])
def test_accelerate(tmp_path: Path, safe: bool) -> None:
    accelerate = pytest.importorskip("accelerate")
    configuration = accelerate.utils.ProjectConfiguration(str(tmp_path), automatic_checkpoint_naming=True)
    accelerator = accelerate.Accelerator(cpu=True, project_config=configuration)
    network = tiny_models.network()
    sgd = torch.optim.SGD(network.parameters(), lr=0.1)
    network, sgd = accelerator.prepare(network, sgd)
    expected: dict[float, nn.Module] = {}
    for epoch in range(3):
        for images, labels in data():
            accelerator.backward(nn.functional.cross_entropy(network(images), labels))
            sgd.step()
            sgd.zero_grad()
        accelerator.save_state(safe_serialization=safe)
        expected[float(epoch)] = copy.deepcopy(accelerator.unwrap_model(network))
    found = check_folder(tmp_path, expected)
    assert [(one.name, one.kind) for one in found][:1] == [("checkpoints/checkpoint_0", "accelerate")]


def test_the_folders_of_accelerates_examples(tmp_path: Path) -> None:
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True)
    network = accelerator.prepare(tiny_models.network())
    expected: dict[float, nn.Module] = {}
    for epoch in range(2):
        network.load_state_dict(train_network(epoch).state_dict())
        accelerator.save_state(str(tmp_path / f"epoch_{epoch}"))
        expected[float(epoch)] = copy.deepcopy(network)
    check_folder(tmp_path, expected)


@pytest.mark.parametrize("averaged", [False, True])
@pytest.mark.parametrize("by_epoch", [True, False])
def test_mmengine(tmp_path: Path, averaged: bool, by_epoch: bool) -> None:
    """In a process of its own: MMEngine's registries and loggers are global."""
    pytest.importorskip("mmengine")
    pytest.importorskip("cv2", exc_type=ImportError)  # which needs a system library, libGL
    program = Path(__file__).with_name("train_by_mmengine.py")
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    subprocess.run(
        [sys.executable, "-W", "ignore", program, tmp_path, str(averaged), str(by_epoch)],
        check=True, env=environment, capture_output=True,
    )  # fmt: skip
    keys = (1.0, 2.0) if by_epoch else (3.0, 6.0)
    expected: dict[str, dict[float, nn.Module]] = {"raw": {}, "ema": {}}
    for key in keys:
        for weights in expected if averaged else ("raw",):
            network = tiny_models.network()
            network.load_state_dict(torch.load(tmp_path / "expected" / f"{weights}-{key:.0f}.state"))
            expected[weights][key] = network
    found = check_folder(tmp_path / "run", expected["raw"])
    assert {one.epoch_from for one in found if one.error is None} == {"stored" if by_epoch else "step"}
    if averaged:
        check_folder(tmp_path / "run", expected["ema"], "ema")


def test_ignite(tmp_path: Path) -> None:
    pytest.importorskip("ignite")
    from ignite.engine import Engine, Events
    from ignite.handlers import Checkpoint, DiskSaver, EMAHandler, ModelCheckpoint

    network = tiny_models.network()
    sgd = torch.optim.SGD(network.parameters(), lr=0.1)

    def step(_: Engine, batch: tuple[Tensor, Tensor]) -> float:
        sgd.zero_grad()
        loss = nn.functional.cross_entropy(network(batch[0]), batch[1])
        loss.backward()
        sgd.step()
        return loss.item()

    trainer = Engine(step)
    average = EMAHandler(network, momentum=0.3)
    average.attach(trainer, event=Events.ITERATION_COMPLETED)
    expected: dict[float, nn.Module] = {}
    averages: dict[float, nn.Module] = {}

    @trainer.on(Events.EPOCH_COMPLETED)
    def keep(engine: Engine) -> None:
        expected[float(engine.state.epoch)] = copy.deepcopy(network)
        averages[float(engine.state.epoch)] = copy.deepcopy(average.ema_model)

    together = {"model": network, "ema_model": average.ema_model, "optimizer": sgd, "trainer": trainer}
    for folder, save in {
        "iterations": Checkpoint(together, DiskSaver(str(tmp_path / "iterations")), n_saved=None),
        "epochs": ModelCheckpoint(
            str(tmp_path / "epochs"), "best", n_saved=None, require_empty=False, create_dir=True,
            score_function=lambda engine: -engine.state.output, score_name="accuracy",
            global_step_transform=lambda engine, _: engine.state.epoch,
        ),
    }.items():  # fmt: skip
        arguments = () if folder == "iterations" else ({"model": network},)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, save, *arguments)
    trainer.run(data(), max_epochs=3)
    (first, *_) = check_folder(tmp_path / "iterations", expected)
    assert (first.name, first.epoch, first.step) == ("checkpoint_3.pt", 1, 3)
    check_folder(tmp_path / "iterations", averages, "ema")
    (first, *_) = check_folder(tmp_path / "epochs", expected)
    assert first.name.startswith("best_model_1_accuracy=")


@pytest.mark.parametrize("with_optimizer", [True, False])
def test_fastai(tmp_path: Path, with_optimizer: bool) -> None:
    pytest.importorskip("fastai.learner")
    from fastai.callback.tracker import SaveModelCallback
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Callback, Learner

    class Keep(Callback):
        order = 61  # after SaveModelCallback

        def after_epoch(self) -> None:
            expected[float(self.epoch)] = copy.deepcopy(self.learn.model)

    expected: dict[float, nn.Module] = {}
    pairs = [(torch.randn(3, 16, 16), index % 5) for index in range(6)]
    loaders = DataLoaders(DataLoader(pairs, bs=2), DataLoader(pairs, bs=2))
    learner = Learner(
        loaders, tiny_models.network(), loss_func=nn.CrossEntropyLoss(), path=tmp_path,
        cbs=[SaveModelCallback(every_epoch=True, with_opt=with_optimizer), Keep()],
    )  # fmt: skip
    with learner.no_bar(), learner.no_logging():
        learner.fit(2)
    check_folder(tmp_path, expected)


def test_peft(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    network = train_network(1)
    wrapped = peft.get_peft_model(network, peft.LoraConfig(target_modules=["fc"], init_lora_weights=False))
    wrapped.save_pretrained(str(tmp_path / "adapter" / "checkpoint-10"))
    found = checkpoint.inspect(tmp_path / "adapter" / "checkpoint-10", tmp_path)
    assert found.error is not None
    assert "holds adapters of PEFT (LORA) without their network" in found.error
    merged = peft.PeftModel.from_pretrained(train_network(1), str(tmp_path / "adapter" / "checkpoint-10"))
    whole = merged.merge_and_unload()
    (tmp_path / "merged").mkdir()
    torch.save(whole.state_dict(), tmp_path / "merged" / "epoch_1.pt")
    check_folder(tmp_path / "merged", {1.0: whole})


@pytest.mark.parametrize("averaged", [False, True])
def test_lightning_with_its_averages(tmp_path: Path, averaged: bool) -> None:
    lightning = pytest.importorskip("lightning")
    callbacks = pytest.importorskip("lightning.pytorch.callbacks")
    if not hasattr(callbacks, "EMAWeightAveraging"):
        pytest.skip("this Lightning has no EMAWeightAveraging")
    raw: dict[float, nn.Module] = {}
    averages: dict[float, nn.Module] = {}

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = tiny_models.network()

        def training_step(self, batch: Any, _: int) -> Tensor:
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.3)

        def on_train_epoch_end(self) -> None:
            raw[float(self.current_epoch)] = copy.deepcopy(self.net)
            if averaged:
                average = average_callback._average_model.module.net
                averages[float(self.current_epoch)] = copy.deepcopy(average)

    average_callback = callbacks.EMAWeightAveraging(decay=0.5)
    saving = callbacks.ModelCheckpoint(tmp_path / "run", save_top_k=-1, save_on_train_epoch_end=True)
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[saving, average_callback] if averaged else [saving], default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(Module(), torch.utils.data.DataLoader(data(), batch_size=None))
    check_folder(tmp_path / "run", raw)
    if averaged:
        check_folder(tmp_path / "run", averages, "ema")
