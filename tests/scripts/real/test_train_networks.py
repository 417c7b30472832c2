"""The trial's networks: what an adversary may change, and what a training leaves."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from scripts.real.network import PREPROCESS, small_resnet18
from scripts.real.train_networks import STD, attacked, main, read_pictures


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train and test with a folder for each of two classes: noise around red, and around blue."""
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for part, count in (("train", 70), ("test", 10)):
        for name, color in (("blue", (40, 40, 200)), ("red", (200, 40, 40))):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(random.normal(color, 40, size=(40, 48, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{number:02}.png")
    return folder


def test_the_network_leaves_small_pictures_a_map_and_has_no_dead_branch() -> None:
    torch.manual_seed(0)
    network = small_resnet18(num_classes=7).eval()
    sizes = {}
    for name in ("layer2", "layer3", "layer4"):
        network.get_submodule(name).register_forward_hook(
            lambda _, __, output, name=name: sizes.update({name: tuple(output.shape[1:])})
        )
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 7)
    assert sizes == {"layer2": (64, 8, 8), "layer3": (128, 4, 4), "layer4": (256, 2, 2)}
    assert all(bool((block.bn2.weight == 1).all()) for block in network.layer4)
    assert network.preprocess is PREPROCESS


def test_pictures_are_read_as_extraction_reads_them(photographs: Path) -> None:
    pixels, classes, names = read_pictures(photographs / "test")
    assert (tuple(pixels.shape), pixels.dtype) == ((20, 3, 32, 32), torch.uint8)
    assert names == ["blue", "red"]
    assert classes.tolist() == [0] * 10 + [1] * 10
    first = Image.open(photographs / "test" / "blue" / "00.png")
    np.testing.assert_array_equal(pixels[0].permute(1, 2, 0).numpy(), PREPROCESS.pixels(first))


def test_the_adversary_changes_a_value_by_no_more_than_its_radius_and_raises_the_loss() -> None:
    torch.manual_seed(0)
    network = small_resnet18(num_classes=3).eval()
    inputs, classes = torch.randn(16, 3, 32, 32), torch.randint(0, 3, (16,))
    generator = torch.Generator().manual_seed(0)
    changed = attacked(network, inputs, classes, 8 / 255, False, generator)
    pixels = (changed - inputs).abs() * torch.tensor(STD).view(1, 3, 1, 1)
    assert pixels.max() <= 8 / 255 + 1e-6
    assert (pixels > 7.9 / 255).float().mean() > 0.3
    with torch.inference_mode():
        before, after = (torch.nn.functional.cross_entropy(network(x), classes) for x in (inputs, changed))
    assert after > before
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_training_keeps_every_epoch_and_is_not_done_twice(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs" / "standard"
    options = [str(photographs / "train"), str(out), "--test", str(photographs / "test"), "--epochs", "2"]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    assert (out / "classes.txt").read_text() == "blue\nred\n"
    states = [torch.load(out / f"epoch_{epoch}.pt", weights_only=True) for epoch in range(3)]
    assert [state["epoch"] for state in states] == [0, 1, 2]
    assert not torch.equal(states[0]["model"]["fc.weight"], states[2]["model"]["fc.weight"])
    small_resnet18(num_classes=2).load_state_dict(states[2]["model"])
    rows = list(csv.DictReader((out / "training.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert all(0 <= float(row[name]) <= 1 for row in rows for name in ("test_accuracy", "robust_accuracy"))
    before = (out / "epoch_2.pt").stat().st_mtime_ns
    assert "trained already" in CliRunner().invoke(main, options).stderr
    assert (out / "epoch_2.pt").stat().st_mtime_ns == before


def test_folders_of_other_classes_are_refused(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "test" / "green").mkdir(parents=True)
    Image.new("RGB", (32, 32)).save(tmp_path / "test" / "green" / "0.png")
    options = [str(photographs / "train"), str(tmp_path / "out"), "--test", str(tmp_path / "test")]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 2
    assert "different classes" in result.stderr
    assert not (tmp_path / "out").exists()
