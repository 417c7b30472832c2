"""Where a network cannot be followed, or gives something else when it is, `cmon extract` says so and is right."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from cmon.extraction import activations
from cmon.extraction.layers.recording import record_activations
from cmon.extraction.settings import ExtractResult, ExtractSettings
from cmon.extraction.stage import extract
from cmon.workspace.workspace import Workspace
from tests.support import tiny_models

OWN = """
import torch
from tests.support.tiny_models import Normed

class Depends(Normed):
    def forward(self, images):
        return super().forward(images if images.mean() > -1e9 else -images)

class KnowsTensors(Normed):
    def forward(self, images):
        return super().forward(images if isinstance(images, torch.Tensor) else -images)
"""


def run(folder: Path, probe: Path, factory: str) -> tuple[ExtractResult, np.ndarray]:
    """Extract one checkpoint of a network of OWN; gives its activations, too."""
    module, runs = folder / "own.py", folder / "own"
    module.write_text(OWN)
    runs.mkdir(exist_ok=True)
    torch.manual_seed(0)
    torch.save({"state_dict": tiny_models.normed().state_dict(), "epoch": 1}, runs / "epoch_1.pt")
    workspace = Workspace(folder / factory)
    settings = ExtractSettings(f"python:{module}:{factory}", ("out",), workers=0)
    result = extract(workspace, {"run": runs}, probe, settings)
    return result, workspace.activation_frame("run", "out", 1).to_numpy()


def test_networks_that_cannot_be_fused_run_as_they_are_written(
    tmp_path: Path, probe_folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooked = []

    def counted(*arguments: object) -> object:
        hooked.append(arguments)
        return record_activations(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(activations, "record_activations", counted)
    with caplog.at_level(logging.WARNING):
        plain, expected = run(tmp_path, probe_folder, "Normed")
        assert plain.notes == ()
        assert not hooked  # it is fused
        assert not caplog.records

        depends, values = run(tmp_path, probe_folder, "Depends")
        (note,) = depends.notes
        assert note.startswith(
            "the network runs as it is written, which is slower, since it cannot be followed: "
        )
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5)
        assert (len(hooked), caplog.records) == (1, [])

        differs, values = run(tmp_path, probe_folder, "KnowsTensors")
        assert differs.notes == ()
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5)
        assert len(hooked) == 2
        (warning,) = [record.getMessage() for record in caplog.records]
        assert warning.startswith("run/epoch_1.pt: its network runs as it is written, which is slower, since")
        assert warning.endswith("layer out gives other values")
