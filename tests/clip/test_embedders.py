from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
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
    program = "class E:\n    name = {!r}\n    preprocess = encode_images = encode_texts = len\n"
    identities = []
    for name in ("one", "another"):  # Python takes a file of the same size and second for the same
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


NAN, INF = torch.nan, torch.inf


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([1.0], r"expected: a tensor of floats of shape \(1, dimensions\).*found:    list"),
        (np.ones((1, 3)), r"found:    ndarray of shape \(1, 3\)"),
        (torch.ones(3), r"found:    a tensor of shape \(3,\), float32"),
        (torch.ones(3, 4), r"found:    a tensor of shape \(3, 4\), float32"),
        (torch.ones(1, 0), r"found:    a tensor of shape \(1, 0\), float32"),
        (torch.ones(1, 4, dtype=torch.int64), r"found:    a tensor of shape \(1, 4\), int64"),
        (torch.ones(1, 4, dtype=torch.complex64), r"\(1, 4\), complex64"),
        (torch.tensor([[1.0, NAN]]), "not finite for 1 of 1: 'dog'.*next:     try --precision fp32"),
        (torch.tensor([[INF, 0.0]]), "not finite for 1 of 1: 'dog'"),
        (torch.zeros(1, 4), "only zeros for 1 of 1: 'dog'"),
    ],
)
def test_features_that_are_none_are_refused(features: object, message: str) -> None:
    """Asked for one text."""
    with pytest.raises(CmonError, match=f"(?s)--clip odd: encode_texts gave .*{message}"):
        embedders.text_features(Odd(features), ["dog"])


def test_the_inputs_without_a_direction_are_named() -> None:
    rows = torch.tensor([[1.0, 0], [0, 0], [0, 0], [2, 0], [0, 0], [0, 0]])
    with pytest.raises(CmonError, match=r"only zeros for 4 of 6: 'b\.png', 'c\.png', 'e\.png'\n"):
        embedders.image_features(Odd(rows), torch.zeros(6, 3, 1, 1), [f"{letter}.png" for letter in "abcdef"])


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_vectors_of_any_length_become_unit_vectors(scale: float) -> None:
    """The square of 1e30 is no float32."""
    rows = torch.tensor([[3.0, 4.0], [0.0, -2.0]])
    found = embedders.text_features(Odd(rows * scale), ["a", "b"])
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.8], [0.0, -1.0]]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floats_of_any_precision_are_taken(dtype: torch.dtype) -> None:
    found = embedders.text_features(Odd(torch.tensor([[3.0, 4.0]], dtype=dtype)), ["a"])
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.8]]))


@pytest.mark.parametrize(
    ("preprocess", "message"),
    [
        (lambda image: image, r"found:    Image"),
        (lambda image: np.asarray(image), r"found:    ndarray of shape \(256, 256, 3\)"),
        (lambda image: torch.zeros(4, 4, 3), r"found:    a tensor of shape \(4, 4, 3\), float32"),
        (lambda image: torch.zeros(1, 3, 4, 4), r"found:    a tensor of shape \(1, 3, 4, 4\)"),
        (lambda image: image.no_such_thing, "found:    AttributeError: .*no_such_thing"),
        (lambda image: torch.zeros(3, 4, 4, requires_grad=True), "found:    RuntimeError: .*requires grad"),
    ],
)
def test_a_preprocess_that_makes_no_picture_is_refused(
    preprocess: Callable[[Image.Image], object], message: str
) -> None:
    odd = Odd(None)
    odd.preprocess = preprocess  # type: ignore[assignment, method-assign]
    with pytest.raises(
        CmonError,
        match=r"(?s)odd: its preprocess .*expected: a tensor of shape \(3, height, width\).*" + message,
    ):
        embedders.prepared_shape(odd)


def test_a_random_preprocess_is_refused() -> None:
    odd = Odd(None)
    odd.preprocess = lambda image: torch.rand(3, 4, 4)  # type: ignore[assignment, method-assign]
    with pytest.raises(CmonError, match=r"other values each time\n  next:     leave out random crops"):
        embedders.prepared_shape(odd)


def test_a_preprocess_that_makes_a_picture_is_taken() -> None:
    assert embedders.prepared_shape(Odd(None)) == (3, 1, 1)
