"""Weights that need what the model would not have: an error, never a warning, and never features that are worse."""

from __future__ import annotations

import copy
import json
import logging
import os
import zipfile
from pathlib import Path
from typing import Any

import open_clip
import open_clip.factory
import open_clip.pretrained
import pytest
import torch
from PIL import Image
from torch import Tensor

from cmon.clip import embedders
from cmon.errors import CmonError

MODEL: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 2},
}
PREPROCESSING = {
    "mean": [0.3, 0.4, 0.5],
    "std": [0.1, 0.2, 0.3],
    "interpolation": "bilinear",
    "resize_mode": "squash",
}
CONFIG = "open_clip_config.json"


def weights() -> dict[str, Tensor]:
    """Large enough that GELU and QuickGELU give clearly different features."""
    torch.manual_seed(0)
    return {
        name: tensor.contiguous() * (1 if tensor.ndim < 2 else 4)
        for name, tensor in open_clip.CLIP(**MODEL).state_dict().items()
    }


def truth(quick_gelu: bool, images: Tensor) -> tuple[Tensor, Tensor]:
    """Features of images (already prepared) and of a text, of the model that the weights belong to."""
    model = open_clip.CLIP(**MODEL, quick_gelu=quick_gelu).eval()
    model.load_state_dict(weights())
    with torch.inference_mode():
        found = model.encode_image(images), model.encode_text(open_clip.tokenize(["dog"], 16))
    return torch.nn.functional.normalize(found[0]), torch.nn.functional.normalize(found[1])


def picture() -> Image.Image:
    return Image.linear_gradient("L").resize((50, 40)).convert("RGB")


def prepared() -> Tensor:
    """As PREPROCESSING says, without open_clip."""
    import torchvision.transforms.v2.functional as functional

    small = functional.resize(picture(), [32, 32], functional.InterpolationMode.BILINEAR)
    return functional.normalize(
        functional.to_dtype(functional.pil_to_tensor(small), torch.float32, scale=True),
        PREPROCESSING["mean"],
        PREPROCESSING["std"],
    )[None]


def right(embedder: embedders.Embedder, quick_gelu: bool) -> None:
    """The embedder prepares the picture as PREPROCESSING says, and has the activation function that is meant."""
    batch = embedder.preprocess(picture())[None]
    torch.testing.assert_close(batch, prepared(), atol=0.02, rtol=0)
    of_image, of_text = truth(quick_gelu, batch)
    torch.testing.assert_close(embedders.image_features(embedder, batch), of_image)
    torch.testing.assert_close(embedders.text_features(embedder, ["dog"]), of_text)
    other, _ = truth(not quick_gelu, batch)
    assert (other - of_image).abs().max() > 1e-3, "the test can tell them apart"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of weights; open_clip knows the models `tiny` and `tiny-quickgelu`."""
    for name, extra in (
        ("tiny", {}),
        ("tiny-quickgelu", {"quick_gelu": True}),
        ("odd", {"quick_gelu": True}),
    ):
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, copy.deepcopy({**MODEL, **extra}))
    path = tmp_path / "weights.pt"
    torch.save(weights(), path)
    return path


def publish(monkeypatch: pytest.MonkeyPatch, name: str, file: Path, **more: Any) -> None:
    """Put the file on open_clip's list of published weights, under the tag `published`."""
    entry = {"file": str(file), **PREPROCESSING, **more}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, {"published": entry})


def beside(file: Path, model: dict[str, Any] | None = None, **preprocessing: Any) -> None:
    config = {"model_cfg": model, "preprocess_cfg": {**PREPROCESSING, **preprocessing}}
    if model is None:
        del config["model_cfg"]
    file.with_name(CONFIG).write_text(json.dumps(config))


# -- published weights ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "quick_gelu"), [("tiny", False), ("tiny", True), ("tiny-quickgelu", True)])
def test_published_weights_get_the_activation_function_that_they_need(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, quick_gelu: bool
) -> None:
    publish(monkeypatch, name, file, **({"quick_gelu": True} if quick_gelu else {}))
    right(embedders.load(f"{name}:published"), quick_gelu)


def test_published_weights_that_were_trained_without_quickgelu_are_not_computed_with_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, "tiny-quickgelu", file, hf_hub="org/model/")
    with pytest.raises(CmonError, match=r"(?s)computes with QuickGELU.*--clip hf-hub:org/model takes"):
        embedders.load("tiny-quickgelu:published")


def test_openclips_own_list_is_met_as_expected() -> None:
    """Of all that can be named, one model says yes where its weights' entry does not; all others are built right."""
    contradicting = [
        (name, tag)
        for name, tag in open_clip.list_pretrained()
        if open_clip.get_model_config(name).get("quick_gelu")
        and not open_clip.get_pretrained_cfg(name, tag).get("quick_gelu")
    ]
    assert contradicting in ([("roberta-ViT-B-32", "laion2b_s12b_b32k")], [])


# -- a file of weights ---------------------------------------------------------------------------------


def test_bare_weights_ask_for_what_they_do_not_say(file: Path) -> None:
    with pytest.raises(
        CmonError, match=r"do not say how their images are prepared, nor .* QuickGELU"
    ) as caught:
        embedders.load(f"tiny:{file}")
    message = str(caught.value)
    assert f"{file.with_name(CONFIG)}, with preprocess_cfg" in message
    example = message[message.index("{") : message.rindex("}") + 1]
    file.with_name(CONFIG).write_text(example)  # doing what it says works
    embedder = embedders.load(f"tiny:{file}")
    batch = embedder.preprocess(picture())[None]
    torch.testing.assert_close(embedders.image_features(embedder, batch), truth(False, batch)[0])


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("tiny", {"quick_gelu": False}),
        ("tiny", MODEL),
        ("tiny-quickgelu", {"quick_gelu": True}),
        ("tiny-quickgelu", {**MODEL, "quick_gelu": True}),
    ],
)
def test_weights_are_used_as_the_file_beside_them_says(file: Path, name: str, model: dict[str, Any]) -> None:
    beside(file, model)
    right(embedders.load(f"{name}:{file}"), "quickgelu" in name)


@pytest.mark.parametrize(
    ("name", "needed", "way_out"),
    [
        ("tiny", True, "--clip tiny-quickgelu:"),
        ("tiny-quickgelu", False, "--clip tiny:"),
        ("odd", False, "--clip local-dir:"),
    ],
)
def test_weights_and_model_that_differ_in_quickgelu_are_an_error(
    file: Path, name: str, needed: bool, way_out: str
) -> None:
    beside(file, {"quick_gelu": needed})
    with pytest.raises(
        CmonError, match=f"trained {'with' if needed else 'without'} QuickGELU, and {name}"
    ) as caught:
        embedders.load(f"{name}:{file}")
    assert way_out in str(caught.value)
    if way_out != "--clip local-dir:":
        right(embedders.load(str(caught.value).rpartition("--clip ")[2]), needed)


@pytest.mark.parametrize("model", [None, {}, {"embed_dim": 16}])
def test_nothing_said_of_quickgelu_is_no_no(file: Path, model: dict[str, Any] | None) -> None:
    beside(file, model)
    with pytest.raises(
        CmonError, match=r"(?s)does not say whether the weights need QuickGELU.*fine-tuned from them"
    ):
        embedders.load(f"tiny:{file}")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"mean": None}, "no mean in preprocess_cfg"),
        ({"std": None}, "no std in preprocess_cfg"),
        ({"mean": [0.5]}, r"mean: \[0.5\]"),
        ({"std": [1, 1, 0]}, r"std: \[1, 1, 0\]"),
        ({"mean": "0.5"}, 'mean: "0.5"'),
    ],
)
def test_a_preprocessing_that_is_none_is_asked_for(file: Path, said: dict[str, Any], message: str) -> None:
    beside(file, MODEL, **said)
    with pytest.raises(CmonError, match=f"(?s)does not say how images are prepared.*{message}"):
        embedders.load(f"tiny:{file}")


def test_weights_for_another_size_of_images_are_an_error(file: Path) -> None:
    beside(file, MODEL, size=[64, 64])
    with pytest.raises(CmonError, match=r"(?s)images of another size.*\[64, 64\]"):
        embedders.load(f"tiny:{file}")
    beside(file, MODEL, size=32)
    right(embedders.load(f"tiny:{file}"), False)


@pytest.mark.parametrize("change", ["missing", "more", "another shape"])
def test_weights_that_fit_in_part_are_refused(file: Path, change: str) -> None:
    state = weights()
    if change == "missing":
        del state["visual.proj"]
    elif change == "more":
        state["adapter"] = torch.zeros(3)
    else:
        state["visual.proj"] = torch.zeros(32, 8)
    torch.save(state, file)
    beside(file, MODEL)
    with pytest.raises(CmonError, match=r"(?s)its weights do not fit the model.*(visual.proj|adapter)"):
        embedders.load(f"tiny:{file}")


def test_openais_archive_says_what_to_do(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("ViT-B-16/constants.pkl", b"")
        archive.writestr("ViT-B-16/code/__torch__.py", b"")
    with pytest.raises(
        CmonError, match=r"(?s)is a TorchScript archive.*--clip tiny:openai.*load_openai_model"
    ):
        embedders.load(f"tiny:{file}")


def test_the_identity_of_a_file_is_what_it_and_its_configuration_hold(file: Path, tmp_path: Path) -> None:
    beside(file, MODEL)
    first = embedders.identity(f"tiny:{file}")
    beside(file, MODEL, mean=[0, 0, 0])
    second = embedders.identity(f"tiny:{file}")
    copy_of = tmp_path / "elsewhere" / "same.pt"
    copy_of.parent.mkdir()
    copy_of.write_bytes(file.read_bytes())
    (copy_of.parent / CONFIG).write_bytes(file.with_name(CONFIG).read_bytes())
    assert embedders.identity(f"tiny:{copy_of}") == second != first
    assert embedders.identity(f"tiny-quickgelu:{file}") != second


# -- a folder, a repository ----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    torch.save(weights(), folder / "open_clip_pytorch_model.bin")
    beside(folder / "weights", MODEL)
    return folder


@pytest.mark.parametrize("quick_gelu", [False, True])
def test_a_folder_is_used_as_its_configuration_says(folder: Path, quick_gelu: bool) -> None:
    beside(folder / "weights", {**MODEL, **({"quick_gelu": True} if quick_gelu else {})})
    right(embedders.load(f"local-dir:{folder}"), quick_gelu)


def test_a_folder_without_preprocessing_asks_for_it(folder: Path) -> None:
    (folder / CONFIG).write_text(json.dumps({"model_cfg": MODEL}))
    with pytest.raises(
        CmonError, match=r"(?s)does not say how images are prepared.*no mean in preprocess_cfg"
    ):
        embedders.load(f"local-dir:{folder}")


@pytest.mark.parametrize(("quick_gelu", "hidden"), [(False, "quick_gelu"), (True, "gelu")])
def test_two_files_that_disagree_about_quickgelu_are_an_error(
    folder: Path, quick_gelu: bool, hidden: str
) -> None:
    beside(folder / "weights", {**MODEL, "quick_gelu": quick_gelu})
    other = folder / "config.json"
    other.write_text(json.dumps({"vision_config": {"hidden_act": hidden}}))
    with pytest.raises(CmonError, match=f"disagree about QuickGELU.*\n.*\n.*hidden_act: {hidden}"):
        embedders.load(f"local-dir:{folder}")
    for agreeing in (
        {"vision_config": {"hidden_act": "quick_gelu" if quick_gelu else "gelu"}},
        {"vision_config": {}},
        {"architectures": ["timm"]},
        [],
    ):
        other.write_text(json.dumps(agreeing))
        right(embedders.load(f"local-dir:{folder}"), quick_gelu)


@pytest.mark.parametrize("complete", [True, False])
def test_a_repository_without_preprocessing_is_warned_of(
    folder: Path, complete: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """As it lies in the hub's cache, where open_clip finds it without a network."""
    if not complete:
        (folder / CONFIG).write_text(
            json.dumps({"model_cfg": {**MODEL, "quick_gelu": True}, "preprocess_cfg": {}})
        )
    repository = f"org/tiny-{complete}"
    cached = Path(os.environ["HF_HOME"]) / "hub" / f"models--{repository.replace('/', '--')}"
    snapshot = cached / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("1")
    for path in folder.iterdir():
        (snapshot / path.name).write_bytes(path.read_bytes())
    with caplog.at_level(logging.WARNING, logger="cmon"):
        embedder = embedders.load(f"hf-hub:{repository}")
    if complete:
        right(embedder, False)
        assert not caplog.records
        return
    batch = embedder.preprocess(picture())[None]
    torch.testing.assert_close(embedders.image_features(embedder, batch), truth(True, batch)[0])
    (record,) = caplog.records
    assert "gives no mean and std of the images; OpenAI's are taken" in record.getMessage()
