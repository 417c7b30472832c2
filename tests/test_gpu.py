"""On CUDA as on the CPU: run where there is such a device, by `pytest -m gpu`; elsewhere skipped."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

import cmon
from cmon.devices import images_at_a_time
from cmon.extraction.arithmetic import arithmetic
from cmon.extraction.blocks import Block
from cmon.extraction.conditions import Conditions
from cmon.extraction.feed import PixelFeed
from cmon.extraction.fused.capture import CapturedNetwork
from cmon.extraction.fused.recording import FusedNetwork
from cmon.extraction.layers.output import LayerOutput
from cmon.extraction.layers.recording import record_activations
from cmon.extraction.layers.trace import trace
from cmon.images.pixels import Pixels
from cmon.images.preprocessing import ResizeCrop
from cmon.scoring import labelling
from cmon.scoring.block_scores import Method
from cmon.scoring.priors import PRIORS
from cmon.scoring.similarity.registry import SIMILARITIES
from cmon.top_k import top_k

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
        method = Method(function, PRIORS[prior], 512, SEED)
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


@pytest.mark.parametrize(("precision", "most"), [("fp32", 1e-4), ("tf32", 2e-3), ("bf16", 5e-2)])
def test_activations_are_those_of_the_cpu_in_float32(
    precision: str, most: float, tmp_path: Path, checkpoints_folder: Path, probe_folder: Path
) -> None:
    """fp32 means float32 there, too: products with 23 bits of mantissa, where torch's default may be 10."""
    found = []
    for device, kind in (("cpu", "fp32"), ("cuda", precision)):
        work = cmon.Workspace(tmp_path / f"{device}-{kind}")
        cmon.extract(
            work, {"run": checkpoints_folder}, probe_folder,
            model=MODEL, layers=["conv2"], workers=0, device=device, precision=kind,
        )  # fmt: skip
        found.append(work.activation_frame("run", "conv2", 1).to_numpy())
    assert np.abs(found[0] - found[1]).max() <= most * np.abs(found[0]).max()


def pictures(count: int, device: str) -> torch.Tensor:
    found = torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(1)).to(device)
    return found.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "vit_b_16"])
def test_a_captured_network_gives_what_the_cpu_gives_as_it_is_written(name: str) -> None:
    layers = {"resnet18": ["layer2", "layer4"], "mobilenet_v2": ["features.17"]}
    torch.manual_seed(SEED)
    options = {"image_size": 64} if name == "vit_b_16" else {}
    network = torchvision.models.get_model(name, weights=None, **options).eval()
    chosen = layers.get(name, ["encoder.layers.encoder_layer_3"])
    batches = [pictures(16, "cpu") + shift for shift in (0, 1, 2)]
    outputs = trace(network, chosen, batches[0][:3])
    with record_activations(network, outputs, "avg") as record:
        expected = [{layer: values.clone() for layer, values in record(batch).items()} for batch in batches]
    network = Conditions("cuda").place(network)
    with arithmetic("fp32", "cuda"):
        fused = FusedNetwork(network, outputs, outputs, "avg", {}, 16)
        assert fused.agrees(network, batches[0][:2].cuda()) is None
        captured = CapturedNetwork(fused, 16)
        for batch, values in zip([*batches, batches[0][:5]], [*expected, expected[0]], strict=True):
            found = captured.record(batch.cuda())
            for layer in values:
                scale = values[layer].abs().max()
                torch.testing.assert_close(
                    found[layer].cpu() / scale, values[layer][: len(batch)] / scale, rtol=0, atol=1e-4
                )
    assert captured.is_captured


def test_pixels_on_the_device_are_those_of_the_cache(tmp_path: Path) -> None:
    values = np.random.default_rng(SEED).integers(0, 256, (600, 8, 8, 3), dtype=np.uint8)
    (tmp_path / "pixels.bin").write_bytes(values.tobytes())
    checksums = np.array([zlib.crc32(one.tobytes()) for one in values], np.uint32)
    pixels = Pixels(tmp_path / "pixels.bin", (8, 8, 3), values.dtype, checksums)
    kept, copied = PixelFeed(pixels, "cuda"), PixelFeed(pixels, "cuda", most=0)
    assert (kept.keeps_all, copied.keeps_all) == (True, False)
    own = ResizeCrop(8, 8)
    for rows in (slice(0, 64), slice(590, 600)):
        for feed in (kept, copied):
            assert feed[rows].device.type == "cuda"
            torch.testing.assert_close(own.batch(feed[rows]).cpu(), own.batch(values[rows]))


def test_activations_on_the_device_are_copied_whole() -> None:
    output = LayerOutput("fc", (5,), "flat")
    held, values = Block([output], 12, "cuda"), torch.randn(12, 5)
    for rows in (slice(0, 8), slice(8, 12)):
        held.put(rows, {"fc": values[rows].cuda()})
    np.testing.assert_array_equal(held.take(10)["fc"], values[:10].numpy())


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_the_precision_is_what_is_multiplied_in_and_is_put_back(precision: str) -> None:
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [one.allow_tf32 for one in backends]
    with arithmetic(precision, "cuda"):
        assert [one.allow_tf32 for one in backends] == [precision == "tf32"] * 2
    assert [one.allow_tf32 for one in backends] == before


def test_as_many_images_at_a_time_as_memory_allows() -> None:
    assert images_at_a_time(7, "cuda") == 7
    assert images_at_a_time(None, "cuda") in (32, 64, 128, 256, 512)
