"""On CUDA as on the CPU: run where there is such a device, by `pytest -m gpu`; elsewhere skipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import cmon
from cmon.scoring import labelling
from cmon.scoring.priors import PRIORS
from cmon.scoring.similarity.registry import SIMILARITIES
from cmon.scoring.similarity.top_k import top_k

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
SEED = 0
MODEL = "python:tests.support.tiny_models:network"
CLIP = "python:tests.support.tiny_models:embedder"


def world(images: int = 600, concepts: int = 300, units: int = 64) -> tuple[torch.Tensor, ...]:
    """Unit vectors of images and texts, and activations of which half follow a concept."""
    generator = torch.Generator().manual_seed(SEED)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    pictures, texts = (torch.nn.functional.normalize(draw(count, 64), dim=1) for count in (images, concepts))
    activations = draw(images, units)
    activations[:, ::2] += 20 * (pictures @ texts[: units // 2].T)
    return pictures, texts, activations


@pytest.mark.parametrize("prior", list(PRIORS))
@pytest.mark.parametrize("name", sorted(SIMILARITIES))
def test_labels_and_scores_are_those_of_the_cpu(name: str, prior: str) -> None:
    found = {}
    for device in ("cpu", "cuda"):
        images, texts, activations = (tensor.to(device) for tensor in world())
        function = SIMILARITIES[name]()
        top = top_k(activations.T, function.top_images(len(images)) or 10).indices
        method = labelling.Method(function, PRIORS[prior], 512, SEED)
        layer = labelling.keep_layer(method, images, activations, top)
        (found[device],) = labelling.label(method, images, texts, [layer])
    planted = torch.arange(0, 64, 2)
    assert (found["cuda"].concepts[planted, 0] == found["cpu"].concepts[planted, 0]).float().mean() >= 0.97
    scale = found["cpu"].scores.abs().max()
    torch.testing.assert_close(
        found["cuda"].scores[:, 0] / scale, found["cpu"].scores[:, 0] / scale, rtol=0, atol=5e-3
    )
    torch.testing.assert_close(
        found["cuda"].null_best / scale, found["cpu"].null_best / scale, rtol=0, atol=5e-3
    )


def test_the_stages_give_the_tables_of_the_cpu(
    tmp_path: Path, checkpoints_folder: Path, probe_folder: Path, concepts_file: Path
) -> None:
    units = {}
    for device in ("cpu", "cuda"):
        work = cmon.Workspace(tmp_path / device)
        cmon.extract(
            work,
            {"run": checkpoints_folder},
            probe_folder,
            model=MODEL,
            layers=["conv2"],
            workers=0,
            device=device,
        )
        cmon.score(work, concepts_file, clip=CLIP, pseudo_units=200, workers=0, device=device)
        units[device] = work.frame("units")
    assert (units["cpu"]["status"] == units["cuda"]["status"]).all()
    assert (units["cpu"]["label"].fillna("") == units["cuda"]["label"].fillna("")).mean() >= 0.9
    np.testing.assert_allclose(units["cpu"]["score"], units["cuda"]["score"], rtol=0.02, atol=0.05)


@pytest.mark.parametrize(("precision", "most"), [("fp32", 2e-3), ("bf16", 5e-2)])
def test_activations_are_those_of_the_cpu_in_float32(
    precision: str, most: float, tmp_path: Path, checkpoints_folder: Path, probe_folder: Path
) -> None:
    """fp32 on CUDA may multiply in TF32, torch's default for convolutions: 10 bits of mantissa."""
    found = []
    for device, kind in (("cpu", "fp32"), ("cuda", precision)):
        work = cmon.Workspace(tmp_path / f"{device}-{kind}")
        cmon.extract(
            work, {"run": checkpoints_folder}, probe_folder,
            model=MODEL, layers=["conv2"], workers=0, device=device, precision=kind,
        )  # fmt: skip
        found.append(work.activation_frame("run", "conv2", 1).to_numpy())
    assert np.abs(found[0] - found[1]).max() <= most * np.abs(found[0]).max()
