"""The trainer: interrupted and resumed, finished, changed, and the same again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from scripts.cases.recipes import RECIPES
from scripts.cases.trainer import Settings, Start, Training, load_weights, train
from tests.support.tiny_cases import draw_photographs, tiny_setup


class Stopped(Exception):
    """Stands in for whatever ends a training."""


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def stopping(training: Training, after: int) -> Training:
    """The same training, whose network raises when it is called once more than `after` times."""

    def start() -> Start:
        begun = training.start()
        calls = iter(range(after))

        def count(*_: Any) -> None:
            if next(calls, None) is None:
                raise Stopped

        begun.network.register_forward_pre_hook(count)
        return begun

    return replace(training, start=start)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 photographs to train with, and 12 to test with."""
    return draw_photographs(tmp_path_factory.mktemp("few"), train=10, test=3)


@pytest.fixture
def short(few: Path, tmp_path: Path) -> Callable[..., Training]:
    """A recipe of three epochs of four steps."""

    def make(recipe: str, **changed: Any) -> Training:
        setup = tiny_setup(few, tmp_path, epochs=3, batch_size=10)
        training = RECIPES[recipe](setup, 1)
        return replace(training, settings=replace(training.settings, **changed))

    return make


@pytest.mark.parametrize(
    ("recipe", "optimizer"),
    [
        ("adversarial", "AdamW:weight_decay=0.05"),
        ("random-labels", "AdamW:weight_decay=0.05,fused=True"),
        ("standard", "SGD:momentum=0.9,nesterov=True"),
    ],
)
def test_an_interrupted_training_goes_on_as_if_nothing_had_been(
    short: Callable[..., Training], tmp_path: Path, recipe: str, optimizer: str
) -> None:
    training = short(recipe, optimizer=optimizer, examiner=None)
    train(training, tmp_path / "whole")
    calls_of_an_epoch = 4 * (4 if training.settings.adversary else 1) + 2
    in_second = 2 + calls_of_an_epoch + 3
    with pytest.raises(Stopped):
        train(stopping(training, in_second), tmp_path / "again")
    assert not (tmp_path / "again").exists()
    aside = tmp_path / ".again.part"
    assert (aside / "epoch_1.pt").is_file()
    assert not (aside / "epoch_2.pt").exists()
    with pytest.raises(Stopped):  # in the first step of the epoch that it goes on with
        train(stopping(training, 0), tmp_path / "again")
    train(training, tmp_path / "again")
    assert not aside.exists()
    one, two = files(tmp_path / "whole"), files(tmp_path / "again")
    assert set(one) == set(two)
    assert one["training.csv"] == two["training.csv"]
    for epoch in range(4):
        whole, again = (load_weights(tmp_path / name, epoch) for name in ("whole", "again"))
        assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_dropout_is_the_epochs_too(short: Callable[..., Training], tmp_path: Path) -> None:
    def start() -> Start:
        torch.manual_seed(0)
        return Start(nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * 16 * 16, 4)))

    training = replace(short("random-labels"), start=start)
    train(training, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(stopping(training, 2 + 6 + 2), tmp_path / "again")
    train(training, tmp_path / "again")
    assert torch.equal(*(load_weights(tmp_path / name, 3)["2.weight"] for name in ("whole", "again")))


def test_what_another_training_left_aside_is_not_gone_on_with(
    short: Callable[..., Training], tmp_path: Path
) -> None:
    training = short("random-labels")
    other = short("random-labels", learning_rate=1e-4)
    with pytest.raises(Stopped):
        train(stopping(other, 2 + 6 + 2), tmp_path / "out")
    train(training, tmp_path / "out")
    train(training, tmp_path / "whole")
    assert (tmp_path / "out" / "training.csv").read_bytes() == (
        tmp_path / "whole" / "training.csv"
    ).read_bytes()


def test_a_finished_training_is_left_and_a_changed_one_is_done_anew(
    short: Callable[..., Training], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    training = short("random-labels")
    train(training, out)
    capsys.readouterr()
    file = out / "epoch_3.pt"
    os.utime(file, ns=(1, 1))
    train(training, out)
    assert "trained already" in capsys.readouterr().err
    assert file.stat().st_mtime_ns == 1
    train(replace(training, settings=replace(training.settings, epochs=2)), out)
    assert sorted(path.name for path in out.glob("*.pt")) == ["epoch_0.pt", "epoch_1.pt", "epoch_2.pt"]


def test_the_seed_fixes_everything(short: Callable[..., Training], tmp_path: Path) -> None:
    training = short("adversarial", epochs=2, examiner=None)
    other = replace(training, settings=replace(training.settings, seed=2))  # from the same weights
    for name, one in {"one": training, "two": training, "other": other}.items():
        train(one, tmp_path / name)
    weights = {name: load_weights(tmp_path / name, 2)["conv1.weight"] for name in ("one", "two", "other")}
    assert torch.equal(weights["one"], weights["two"])
    assert not torch.equal(weights["one"], weights["other"])


def test_a_constant_rate_stays(short: Callable[..., Training], tmp_path: Path) -> None:
    train(short("random-labels", one_cycle=False), tmp_path / "constant")
    train(short("random-labels"), tmp_path / "cycle")
    rates = {
        name: [
            float(line.split(",")[3])
            for line in (tmp_path / name / "training.csv").read_text().splitlines()[1:]
        ]
        for name in ("constant", "cycle")
    }
    assert rates["constant"] == pytest.approx([3e-3] * 4)
    assert rates["cycle"][0] == pytest.approx(3e-3 / 25)
    assert max(rates["cycle"]) > rates["cycle"][-1]
    assert rates["cycle"][-1] < 1e-4


def test_every_setting_is_in_the_fingerprint(short: Callable[..., Training]) -> None:
    training = short("adversarial")
    assert isinstance(training.settings, Settings)
    changes: dict[str, Any] = {
        "epochs": 5,
        "seed": 9,
        "learning_rate": 0.5,
        "optimizer": "SGD",
        "batch_size": 3,
        "one_cycle": False,
        "permuted_labels": True,
        "adversary": None,
        "examiner": None,
        "bf16": True,
    }
    assert set(changes) == set(vars(training.settings))
    for name, value in changes.items():
        changed = replace(training, settings=replace(training.settings, **{name: value}))
        assert changed.fingerprint != training.fingerprint
        assert changed.digest != training.digest
