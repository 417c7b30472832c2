from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from cmon.clip import embedders
from cmon.errors import CmonError

TINY = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of a few thousand weights in open_clip's own form."""
    from open_clip import CLIP
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("clip")
    (folder / "open_clip_config.json").write_text(json.dumps(TINY))
    torch.manual_seed(0)
    weights = CLIP(**TINY["model_cfg"]).state_dict()
    save_file(
        {name: tensor.contiguous() for name, tensor in weights.items()},
        folder / "open_clip_model.safetensors",
    )
    return folder


# -- loading -------------------------------------------------------------------------------------------


def test_a_folder_is_loaded_and_gives_unit_vectors(folder: Path) -> None:
    embedder = embedders.load(f"local-dir:{folder}")
    texts = embedders.text_features(embedder, ["dog", "cat", "dog"], batch_size=2)
    assert (texts.shape, texts.dtype) == ((3, 16), torch.float32)
    torch.testing.assert_close(texts.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(texts[0], texts[2])
    assert (texts[0] @ texts[1]) < 0.999
    batch = torch.stack([embedder.preprocess(Image.new("RGB", (50, 40), color)) for color in ("red", "blue")])
    images = embedders.image_features(embedder, batch)
    assert images.shape == (2, 16)
    torch.testing.assert_close(images.norm(dim=1), torch.ones(2))
    assert not texts.requires_grad
    assert not images.requires_grad


def test_half_precision_is_near_full(folder: Path) -> None:
    full, half = (
        embedders.load(f"local-dir:{folder}", precision=precision) for precision in ("fp32", "bf16")
    )
    one, other = (embedders.text_features(embedder, ["dog", "cat"]) for embedder in (full, half))
    assert other.dtype == torch.float32
    assert (one * other).sum(dim=1).min() > 0.99
    batch = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    one, other = (embedders.image_features(embedder, batch) for embedder in (full, half))
    assert (one * other).sum(dim=1).min() > 0.98


def test_a_users_own_embedder_is_taken() -> None:
    embedder = embedders.load("python:tests.support.tiny_models:embedder")
    assert embedder.name == "mean colour"
    features = embedders.text_features(embedder, ["red", "blue"])
    torch.testing.assert_close(
        features, torch.nn.functional.normalize(torch.tensor([[0.5, -0.3, -0.3], [-0.3, -0.2, 0.5]]), dim=1)
    )


# -- identity ------------------------------------------------------------------------------------------


def test_the_identity_of_a_folder_is_its_content(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    same = embedders.identity(f"local-dir:{copy}")
    assert same == embedders.identity(f"local-dir:{folder}")
    (copy / "open_clip_model.safetensors").write_bytes(b"other weights")
    assert embedders.identity(f"local-dir:{copy}") != same


def test_the_identity_of_weights_on_disk_is_their_content(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(b"1")
    before = embedders.identity(f"ViT-B-16:{file}")
    file.write_bytes(b"2")
    assert len({before, embedders.identity(f"ViT-B-16:{file}"), embedders.identity("ViT-B-16:openai")}) == 3


def test_the_identity_of_an_own_embedder_is_its_name(tmp_path: Path) -> None:
    program = "class E:\n    name = {!r}\n    preprocess = encode_images = encode_texts = None\n"
    identities = []
    for name in ("one", "two"):
        (tmp_path / "mine.py").write_text(program.format(name))
        identities.append(embedders.identity(f"python:{tmp_path}/mine.py:E"))
    assert identities[0] != identities[1]


# -- what cannot be had --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ViT-B-61:openai", "open_clip has no model 'ViT-B-61'.*did you mean 'ViT-B-"),
        ("ViT-B-16:opnai", "has no pretrained weights 'opnai'.*did you mean 'openai'"),
        ("ViT-B-16", "has no pretrained weights ''"),
        ("", "open_clip has no model ''"),
        ("local-dir:nowhere", "no such folder"),
        ("local-dir:", "is no open_clip model"),
        ("python:tests.support.tiny_models:embeder", "did you mean 'embedder'"),
        ("python:no_such_module:make", "cannot be imported"),
        ("python:tiny_models", "cannot be imported"),
        ("python:tests.support.tiny_models:network", "a Tiny without name"),
    ],
)
def test_a_spec_that_names_nothing_says_what_it_could_be(spec: str, message: str) -> None:
    def identified_and_loaded() -> None:
        embedders.identity(spec)
        embedders.load(spec)

    with pytest.raises(CmonError, match=f"(?s)--clip {spec}.*{message}"):
        identified_and_loaded()


@pytest.mark.parametrize("spec", ["ViT-B-16:openai", "hf-hub:timm/no-such-model"])
def test_weights_that_cannot_be_had_say_how_to_bring_them(
    spec: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(CmonError, match=f"--clip {spec}: its weights cannot be had here") as caught:
        embedders.load(spec)
    assert "local-dir:FOLDER" in str(caught.value)
    assert not caplog.records, "open_clip's own log lines would say it twice"
    assert logging.root.manager.disable < logging.CRITICAL, "logging is on again"


def test_a_folder_without_or_with_broken_weights_says_so(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text(json.dumps(TINY))
    with pytest.raises(CmonError, match="its weights cannot be had here"):
        embedders.load(f"local-dir:{tmp_path}")
    whole = (folder / "open_clip_model.safetensors").read_bytes()
    (tmp_path / "open_clip_model.safetensors").write_bytes(whole[:1000])
    with pytest.raises(CmonError, match="its weights cannot be had here"):
        embedders.load(f"local-dir:{tmp_path}")
    (tmp_path / "open_clip_config.json").write_text("{")
    with pytest.raises(CmonError, match=r"open_clip_config.json cannot be read"):
        embedders.load(f"local-dir:{tmp_path}")


# -- features that are none ----------------------------------------------------------------------------


class Odd:
    name = "odd"
    preprocess = staticmethod(lambda image: torch.zeros(3, 1, 1))

    def __init__(self, features: object) -> None:
        self.features = features

    def encode_texts(self, texts: list[str]) -> Tensor:
        return self.features  # type: ignore[return-value]

    encode_images = encode_texts  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([1.0], "found:    list"),
        (torch.ones(3), r"found:    \(3,\)"),
        (torch.tensor([[1.0, torch.nan]]), "not finite"),
        (torch.tensor([[torch.inf, 0.0]]), "not finite"),
        (torch.ones(3, 4), r"found:    \(3, 4\)"),
    ],
)
def test_features_that_are_none_are_refused(features: object, message: str) -> None:
    """Asked for one text; the last case gives three."""
    with pytest.raises(CmonError, match=f"(?s)--clip odd: gave .*{message}"):
        embedders.text_features(Odd(features), ["dog"])


def test_features_of_nothing_are_not_made_into_directions() -> None:
    assert embedders.text_features(Odd(torch.zeros(1, 4)), ["dog"]).tolist() == [[0, 0, 0, 0]]
