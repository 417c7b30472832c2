from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cmon.clip import embedders
from cmon.clip.missing import missing_package
from cmon.errors import CmonError
from tests.clip.test_features import save_clip

SIGLIP = {"text_cfg": {"hf_tokenizer_name": "timm/ViT-B-16-SigLIP"}, "vision_cfg": {"image_size": 224}}


def wrapped(inner: Exception, outer: Exception) -> Exception:
    try:
        try:
            raise inner
        except Exception as error:
            raise outer from error
    except Exception as error:
        return error


@pytest.mark.parametrize(
    ("error", "package"),
    [
        (ModuleNotFoundError("No module named 'nowhere'", name="nowhere"), "nowhere"),
        (ModuleNotFoundError("No module named 'google.protobuf'", name="google.protobuf"), "protobuf"),
        (wrapped(ModuleNotFoundError("x", name="nowhere"), RuntimeError("could not make a tokenizer")), "nowhere"),
        (RuntimeError("Please `pip install nowhere` to use pre-trained HuggingFace models"), "nowhere"),
        (RuntimeError("Please install the latest timm (`pip install nowhere`) to use it."), "nowhere"),
        (ImportError("T5Tokenizer requires the NoWhere library but it was not found"), "nowhere"),
        (ValueError("You need to have nowhere or tiktoken installed to convert a slow tokenizer"), "nowhere"),
        # About what is there, or about something else:
        (RuntimeError("Please `pip install torch`"), None),
        (RuntimeError("Error(s) in loading state_dict for CLIP"), None),
        (OSError("We couldn't connect to 'https://huggingface.co'"), None),
    ],
)  # fmt: skip
def test_the_package_is_named_whatever_was_raised(error: Exception, package: str | None) -> None:
    assert missing_package(error, {}) == package


def test_a_use_of_none_is_explained_by_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    error = AttributeError("'NoneType' object has no attribute 'from_pretrained'")
    monkeypatch.setattr(
        "cmon.clip.missing.find_spec", lambda name: None if name == "transformers" else object()
    )
    assert missing_package(error, SIGLIP) == "transformers"
    assert missing_package(error, {"vision_cfg": {"timm_model_name": "x"}, "text_cfg": {}}) is None
    monkeypatch.setattr("cmon.clip.missing.find_spec", lambda name: object())
    assert missing_package(error, SIGLIP) is None


@pytest.mark.parametrize(
    "fail",
    [
        lambda *_, **__: __import__("nowhere_to_be_found"),
        lambda *_, **__: (_ for _ in ()).throw(RuntimeError("Please `pip install nowhere_to_be_found`")),
    ],
)
def test_a_model_whose_tokenizer_needs_more_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail: Callable[..., Any]
) -> None:
    save_clip(tmp_path / "clip")
    monkeypatch.setattr("open_clip.get_tokenizer", fail)
    with pytest.raises(CmonError) as caught:
        embedders.load(f"local-dir:{tmp_path}/clip")
    assert "this model needs the package nowhere_to_be_found" in str(caught.value)
    assert caught.value.hint == "pip install nowhere_to_be_found (with --upgrade if it is there)"


def test_open_clip_itself_may_lack_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(CmonError, match="needs the package open_clip"):
        embedders.load("ViT-B-16:openai")
