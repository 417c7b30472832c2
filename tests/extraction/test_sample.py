"""What a dry run shows is what the extraction then stores, and what plain torch gives."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from cmon.errors import CmonError
from cmon.extraction.settings import ExtractSettings
from cmon.extraction.stage import extract, plan
from cmon.images.decoding import decode
from cmon.workspace.workspace import Workspace
from tests.support import tiny_models

SETTINGS = ExtractSettings("python:tests.support.tiny_models:network", ("conv1", "conv2", "fc"), workers=0)


@pytest.fixture
def folders(checkpoints_folder: Path) -> dict[str, Path]:
    for epoch in (2, 10):
        torch.manual_seed(epoch)
        content = {"state_dict": tiny_models.network().state_dict(), "epoch": epoch}
        torch.save(content, checkpoints_folder / f"epoch_{epoch}.pt")
    return {"a": checkpoints_folder}


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_a_plans_values_are_those_that_are_extracted_and_those_of_plain_torch(
    folders: dict[str, Path], probe_folder: Path, tmp_path: Path, pooling: str
) -> None:
    settings = replace(SETTINGS, pooling=pooling)
    found = plan(folders, probe_folder, settings)
    assert [(sample.run, sample.epoch, sample.unit) for sample in found.samples] == [
        ("a", 0, 0),
        ("a", 10, 0),
    ]
    extract(Workspace(tmp_path / "work"), folders, probe_folder, settings)
    for sample in found.samples:
        network = tiny_models.network().eval()
        network.load_state_dict(torch.load(folders["a"] / sample.checkpoint)["state_dict"])
        own = network.preprocess
        with torch.no_grad():
            maps = network.conv1(own.batch(own.pixels(decode(Path(sample.picture)))[None]))[0, 0]
        assert sample.picture == str(probe_folder / "00.png")
        wanted = maps.mean() if pooling == "avg" else maps.max()
        assert sample.values["conv1"] == pytest.approx(float(wanted), rel=1e-5)
        for layer, value in sample.values.items():
            stored = pd.read_parquet(tmp_path / f"work/activations/a/{layer}/{sample.epoch:g}.parquet")
            assert value == pytest.approx(stored["activations"][0][0], rel=1e-5)
    first, last = (sample.values for sample in found.samples)
    assert all(first[layer] != last[layer] for layer in first), "a negative control"


def test_a_plan_is_of_the_chosen_epochs(folders: dict[str, Path], probe_folder: Path) -> None:
    found = plan(folders, probe_folder, replace(SETTINGS, epochs=((1, 2),)))
    assert [sample.epoch for sample in found.samples] == [1, 2]
    (sample,) = plan(folders, probe_folder, replace(SETTINGS, epochs=((2, 2),))).samples
    assert sample.epoch == 2


def test_pictures_that_cannot_be_read_are_passed_over(folders: dict[str, Path], probe_folder: Path) -> None:
    (probe_folder / "00.png").write_text("no picture")
    assert plan(folders, probe_folder, SETTINGS).samples[0].picture == str(probe_folder / "01.png")
    for path in sorted(probe_folder.iterdir())[2:]:
        path.unlink()  # one picture is left
    assert len(plan(folders, probe_folder, SETTINGS).samples) == 2
    (probe_folder / "01.png").write_text("no picture")
    with pytest.raises(CmonError, match="none of the 2 files can be read as an image"):
        plan(folders, probe_folder, SETTINGS)


def test_a_network_that_fails_on_pictures_skips_its_checkpoint(
    folders: dict[str, Path], probe_folder: Path, tmp_path: Path
) -> None:
    """It fails where a weight that only one epoch has is used: the others are extracted."""
    (tmp_path / "picky_net.py").write_text(
        "from tests.support.tiny_models import Tiny\nclass Net(Tiny):\n    def forward(self, x):\n"
        "        if self.fc.bias[0] == 99: raise ValueError('not this one')\n        return super().forward(x)\n"
    )
    content = torch.load(folders["a"] / "epoch_2.pt")
    content["state_dict"]["fc.bias"][0] = 99
    torch.save(content, folders["a"] / "epoch_2.pt")
    settings = replace(SETTINGS, model=f"python:{tmp_path / 'picky_net.py'}:Net")
    result = extract(Workspace(tmp_path / "work"), folders, probe_folder, settings)
    assert result.checkpoints == 3
    assert result.skipped_checkpoints == [
        ("a/epoch_2.pt", "images 0 to 7: the network fails with ValueError: not this one")
    ]


def test_the_guess_of_a_preprocessing_is_warned_of_and_what_is_given_is_not(
    folders: dict[str, Path], probe_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "silent_net.py").write_text(
        "from tests.support.tiny_models import Tiny\ndef make():\n    network = Tiny()\n"
        "    del network.preprocess\n    return network\n"
    )
    silent = replace(SETTINGS, model=f"python:{tmp_path / 'silent_net.py'}:make", image_size=16)
    with caplog.at_level(logging.WARNING, "cmon"):
        plan(folders, probe_folder, SETTINGS)
        plan(folders, probe_folder, replace(silent, mean=(0.5,) * 3, std=(0.5,) * 3))
        assert caplog.messages == []
        result = extract(Workspace(tmp_path / "work"), folders, probe_folder, silent)
    (warning,) = caplog.messages
    assert warning.startswith("the mean and std of its pictures are a guess")
    assert "mean 0.485, 0.456, 0.406" in warning
    assert "default, as ImageNet's" in result.preprocessing
    assert Workspace(tmp_path / "work").parameters("shards")["preprocessing"] == result.preprocessing


def test_a_layer_that_runs_twice_is_warned_of_and_read_from_its_last_output(
    probe_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.support.layer_cases import Twice

    (tmp_path / "ck").mkdir()
    network = Twice().eval()
    torch.save(network.state_dict(), tmp_path / "ck" / "epoch_1.pt")
    settings = replace(
        SETTINGS, model="python:tests.support.layer_cases:Twice", layers=("shared",), image_size=16,
        mean=(0.5,) * 3, std=(0.5,) * 3,
    )  # fmt: skip
    with caplog.at_level(logging.WARNING, "cmon"):
        extract(Workspace(tmp_path / "work"), {"a": tmp_path / "ck"}, probe_folder, settings)
    assert caplog.messages == ["layer shared runs 2 times in a forward pass; its last output counts"]
