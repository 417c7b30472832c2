"""Folders of the Hugging Face Trainer, by the Trainer itself where it is installed, and damaged ones."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cmon.checkpoints import checkpoint
from tests.support import tiny_models
from tests.support.checkpoints import check_folder, save_hugging_face, train_network


@pytest.mark.parametrize("form", ["safetensors", "bin", "sharded safetensors", "sharded bin"])
def test_the_trainers_folders_by_hand(tmp_path: Path, form: str) -> None:
    expected = {0.5: train_network(1), 1.0: train_network(2), 2.0: train_network(3)}
    for epoch, network in expected.items():
        save_hugging_face(tmp_path / f"checkpoint-{epoch * 200:.0f}", network, epoch, int(epoch * 200), form)
    found = check_folder(tmp_path, expected)
    assert [(one.name, one.step, one.kind) for one in found] == [
        ("checkpoint-100", 100, "hugging face"),
        ("checkpoint-200", 200, "hugging face"),
        ("checkpoint-400", 400, "hugging face"),
    ]


def test_a_shard_that_is_missing_is_named(tmp_path: Path) -> None:
    save_hugging_face(tmp_path / "checkpoint-5", train_network(0), 1, 5, "sharded safetensors")
    (tmp_path / "checkpoint-5" / "model-00002-of-00002.safetensors").unlink()
    found = checkpoint.inspect(tmp_path / "checkpoint-5", tmp_path)
    assert found.error is not None
    assert "1 of its 2 shards are missing; expected model-00002-of-00002.safetensors" in found.error


@pytest.mark.parametrize("name", ["trainer_state.json", "model.safetensors.index.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'"text"', b'{"weight_map": 3}'])
def test_damaged_notes_in_a_folder_are_a_reason(tmp_path: Path, name: str, content: bytes) -> None:
    save_hugging_face(tmp_path / "checkpoint-5", train_network(0), 1, 5, "sharded safetensors")
    (tmp_path / "checkpoint-5" / name).write_bytes(content)
    found = checkpoint.inspect(tmp_path / "checkpoint-5", tmp_path)
    if name != "trainer_state.json" or not content.startswith(b'{"'):
        assert found.error is not None
        assert "damaged" in found.error


def test_any_changed_byte_of_a_folder_changes_its_hash(tmp_path: Path) -> None:
    save_hugging_face(tmp_path / "checkpoint-5", train_network(0), 1, 5, "sharded safetensors")
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
    found = check_folder(tmp_path / "run", expected)
    assert [(one.kind, one.step, one.prefix) for one in found][:1] == [("hugging face", 1, "network.")]
