"""How the stage `extract` uses checkpoints: what it opens, when it stops, and what it says."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from cmon.checkpoints.formats.torch_file import TorchFile
from cmon.errors import CmonError
from cmon.extraction.settings import ExtractResult, ExtractSettings
from cmon.extraction.stage import extract, plan
from cmon.images import pixel_cache
from cmon.workspace.workspace import Workspace
from tests.support import tiny_models

SETTINGS = ExtractSettings("python:tests.support.tiny_models:network", ("conv2",), workers=0)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """(name, whether its tensors were read) of every checkpoint that is opened."""
    calls: list[tuple[str, bool]] = []
    read = TorchFile.read

    def note(format: TorchFile, path: Path, values: bool, trust_pickle: bool) -> dict[str, Any]:
        calls.append((path.name, values))
        return read(format, path, values, trust_pickle)

    monkeypatch.setattr(TorchFile, "read", note)
    return calls


def table(workspace: Path) -> pd.DataFrame:
    return pd.read_parquet(workspace / "checkpoints.parquet").set_index("checkpoint")


def test_what_did_not_change_is_not_opened_again(
    tmp_path: Path, checkpoints_folder: Path, probe_folder: Path, opened: list[tuple[str, bool]]
) -> None:
    place = Workspace(tmp_path / "work")

    def go() -> ExtractResult:
        opened.clear()
        return extract(place, {"a": checkpoints_folder}, probe_folder, SETTINGS)

    assert go().made == 2
    assert [name for name, values in opened if not values] == ["epoch_0.pt", "epoch_1.pt"]
    before = table(place.root)
    assert go().made == 0
    assert opened == [("epoch_0.pt", True)], "one of them, for the network's shapes"
    pd.testing.assert_frame_equal(table(place.root), before)
    torch.save({"state_dict": tiny_models.network().state_dict()}, checkpoints_folder / "epoch_2.pt")
    assert go().made == 1
    assert [name for name, values in opened if not values] == ["epoch_2.pt"]
    assert table(place.root)["epoch_from"].tolist() == ["stored", "stored", "name"]


def test_raw_and_averaged_weights_are_recorded_and_kept_apart(
    tmp_path: Path, checkpoints_folder: Path, probe_folder: Path
) -> None:
    place = Workspace(tmp_path / "work")
    folders = {"a": checkpoints_folder}
    assert extract(place, folders, probe_folder, SETTINGS).made == 2
    with pytest.raises(CmonError, match="holds no EMA weights"):
        extract(place, folders, probe_folder, replace(SETTINGS, weights="ema"))
    for path in checkpoints_folder.iterdir():
        content = torch.load(path, weights_only=True)
        content["state_dict_ema"] = {name: value + 1 for name, value in content["state_dict"].items()}
        torch.save(content, path)
    assert extract(place, folders, probe_folder, SETTINGS).made == 2
    raw = pd.read_parquet(place.root / "activations/a/conv2/1.parquet")
    assert extract(place, folders, probe_folder, replace(SETTINGS, weights="ema")).made == 2
    assert table(place.root)["weights"].tolist() == ["ema", "ema"]
    assert not pd.read_parquet(place.root / "activations/a/conv2/1.parquet").equals(raw)


def test_a_checkpoint_that_vanishes_meanwhile_is_skipped(
    tmp_path: Path, checkpoints_folder: Path, probe_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Workspace(tmp_path / "work")
    decode_probe = pixel_cache.decode_probe

    def remove_and_decode(*arguments: Any) -> Any:
        (checkpoints_folder / "epoch_1.pt").unlink()
        return decode_probe(*arguments)

    monkeypatch.setattr(pixel_cache, "decode_probe", remove_and_decode)
    summary = extract(place, {"a": checkpoints_folder}, probe_folder, SETTINGS)
    assert summary.made == 1
    assert "cannot be read" in table(place.root).loc["epoch_1.pt", "error"]
    assert pd.read_parquet(place.root / "shards.parquet")["epoch"].tolist() == [0.0]


def test_the_probe_is_looked_at_before_any_checkpoint(
    tmp_path: Path, checkpoints_folder: Path, opened: list[tuple[str, bool]]
) -> None:
    with pytest.raises(CmonError, match="no such folder"):
        extract(Workspace(tmp_path / "work"), {"a": checkpoints_folder}, tmp_path / "none", SETTINGS)
    assert opened == []


def test_a_pooling_that_a_layer_cannot_have_is_told_before_images_are_decoded(
    tmp_path: Path, checkpoints_folder: Path, probe_folder: Path
) -> None:
    settings = replace(SETTINGS, pooling="cls")
    with pytest.raises(CmonError, match="--pooling cls: layer conv2 has no class token"):
        extract(Workspace(tmp_path / "work"), {"a": checkpoints_folder}, probe_folder, settings)
    with pytest.raises(CmonError, match="--pooling cls"):
        plan({"a": checkpoints_folder}, probe_folder, settings)
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    "failure", ["1 / 0", "raise RuntimeError('no weights')", "{}['x']", "import nothing"]
)
def test_a_factory_that_fails_in_any_way_is_told(
    tmp_path: Path, checkpoints_folder: Path, probe_folder: Path, failure: str
) -> None:
    (tmp_path / "net.py").write_text(f"def make():\n    {failure}\n")
    settings = replace(SETTINGS, model=f"python:{tmp_path}/net.py:make")
    with pytest.raises(CmonError, match=r"could not be built(.|\n)*found:    \w+Error"):
        plan({"a": checkpoints_folder}, probe_folder, settings)


def test_a_file_that_fits_no_network_does_not_shadow_one_that_does(
    tmp_path: Path, checkpoints_folder: Path, probe_folder: Path
) -> None:
    torch.save({"other.weight": torch.ones(3)}, checkpoints_folder / "a_1.pt")
    summary = plan({"a": checkpoints_folder}, probe_folder, SETTINGS)
    read = {one.name: one.error for _, one in summary.checkpoints}
    assert read["epoch_1.pt"] is None
    assert "0 that match" in (read["a_1.pt"] or "")
    (matched,) = [one for _, one in summary.checkpoints if one.name == "a_1.pt"]
    assert (matched.tensors_matched, matched.tensors) == (0, 6)


def test_what_a_reader_would_want_to_know_is_said_once(
    tmp_path: Path, probe_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for epoch in range(3):
        state = {f"net.{name}": value for name, value in tiny_models.network().state_dict().items()}
        content = {"state_dict": {**state, "loss.weight": torch.ones(2)}, "epoch": epoch + 1}
        torch.save(content, tmp_path / f"{epoch}_checkpoint.pt")
    with caplog.at_level(logging.WARNING, "cmon"):
        plan({"a": tmp_path}, probe_folder, SETTINGS)
    stored, unread = caplog.messages
    assert stored.startswith(
        "a: 3 of 3 checkpoints store another epoch than their name says (0_checkpoint.pt: 1"
    )
    assert unread == "a: 1 tensor of its checkpoints is not part of the network and not read: loss.weight"


def test_where_only_averaged_weights_fit_raw_ones_are_refused(tmp_path: Path, probe_folder: Path) -> None:
    state = {f"ema_model.{name}": value for name, value in tiny_models.network().state_dict().items()}
    torch.save({"state_dict": {**state, "logits.bias": torch.ones(1)}}, tmp_path / "epoch_1.pt")
    with pytest.raises(CmonError, match=r"only the averaged weights under 'ema_model\.' fit"):
        plan({"a": tmp_path}, probe_folder, SETTINGS)
    plan({"a": tmp_path}, probe_folder, replace(SETTINGS, weights="ema"))
