"""The examples of docs/own-code.md do what the page says: they are read from it and run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import cmon
from cmon.user_code import python_object

PAGE = Path(__file__).parents[1] / "docs" / "own-code.md"
MOST_LINES = 15
"""Of an example, without its blank ones."""


def example(title: str, folder: Path, *changes: tuple[str, str]) -> Path:
    """The code block of this title, as a file."""
    blocks = re.findall(r'^```python title="(.*?)"\n(.*?)^```', PAGE.read_text(encoding="utf-8"), re.S | re.M)
    text = dict(blocks)[title]
    assert len([line for line in text.splitlines() if line]) <= MOST_LINES
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    path = folder / title
    path.write_text(text)
    return path


def test_the_network_of_the_example_is_read(tmp_path: Path, probe_folder: Path) -> None:
    path = example("my_network.py", tmp_path)
    factory: Callable[..., nn.Module] = python_object(f"{path}:MyNetwork", "--model")
    torch.manual_seed(0)
    network = factory(classes=10)
    (tmp_path / "runs").mkdir()
    torch.save({"state_dict": network.state_dict(), "epoch": 3}, tmp_path / "runs" / "epoch_3.pt")
    cmon.extract(
        tmp_path / "work",
        {"mine": tmp_path / "runs"},
        probe_folder,
        model=f"python:{path}:MyNetwork",
        model_arguments={"classes": 10},
        layers=["features.2"],
        device="cpu",
        workers=0,
    )
    found = cmon.Workspace(tmp_path / "work").activation_frame("mine", "features.2", 3)
    assert found.shape == (40, 32)
    for number in (0, 17):
        with Image.open(probe_folder / f"{number:02}.png") as image, torch.no_grad():
            maps = network.features(network.preprocess(image)[None])
        np.testing.assert_allclose(found.loc[number], maps.mean((2, 3))[0], atol=1e-5)


@pytest.fixture
def hugging_face_clip(tmp_path: Path) -> Path:
    """A CLIP of a few thousand weights, as transformers saves it with its processor; its tokens are letters."""
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed: pip install '.[formats]'"
    )
    if int(transformers.__version__.split(".")[0]) < 5:
        pytest.skip("the example is for transformers 5")
    folder = tmp_path / "clip"
    folder.mkdir()
    letters = "abcdefghijklmnopqrstuvwxyz"
    marks = ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {
        token: at for at, token in enumerate([*letters, *(f"{letter}</w>" for letter in letters), *marks])
    }
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16
    )
    pictures = transformers.CLIPImageProcessor(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}
    )
    transformers.CLIPProcessor(pictures, tokenizer).save_pretrained(folder)
    tower = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": vocabulary[marks[0]], "eos_token_id": vocabulary[marks[1]]}
    torch.manual_seed(0)
    config = transformers.CLIPConfig(
        text_config={**tower, **ends, "vocab_size": len(vocabulary), "max_position_embeddings": 16},
        vision_config={**tower, "image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    return folder


def test_the_hugging_face_embedder_gives_what_its_model_gives(
    hugging_face_clip: Path,
    tmp_path: Path,
    probe_folder: Path,
    checkpoints_folder: Path,
    concepts_file: Path,
) -> None:
    """Literal: transformers' own forward of both towers, which also ends in unit vectors."""
    from transformers import CLIPModel, CLIPProcessor

    from cmon.clip.features import Features

    path = example("hugging_face.py", tmp_path, ("openai/clip-vit-base-patch16", str(hugging_face_clip)))
    spec, work = f"python:{path}:HuggingFace", tmp_path / "work"
    cmon.extract(
        work,
        {"standard": checkpoints_folder},
        probe_folder,
        model="python:tests.support.tiny_models:network",
        layers=["conv2"],
        device="cpu",
        workers=0,
    )
    cmon.score(work, concepts_file, clip=spec, device="cpu", workers=2, batch_size=7)
    vocabulary = cmon.Workspace(work).frame("vocabulary")
    words = vocabulary["concept"].tolist()
    files = sorted(probe_folder.iterdir())
    images = []
    for file in files:
        with Image.open(file) as image:
            images.append(image.convert("RGB"))
    model = CLIPModel.from_pretrained(hugging_face_clip).eval()
    inputs = CLIPProcessor.from_pretrained(hugging_face_clip)(
        text=words, images=images, padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        whole = model(**inputs)
    np.testing.assert_allclose(np.stack(vocabulary["vector"]), whole.text_embeds, atol=1e-5)
    features = Features(cmon.Workspace(work), spec, "cpu", "fp32", 7, 0)
    found = features.image_vectors(lambda items, *_: items)
    assert "embedder" not in vars(features), "the model was loaded for nothing"
    np.testing.assert_allclose(found, whole.image_embeds, atol=1e-5)
    distinct = (whole.image_embeds @ whole.image_embeds.T).min()
    assert distinct < 0.99, "the test could not tell images apart"


def test_a_name_with_the_hash_of_the_weights_changes_with_them(tmp_path: Path) -> None:
    (line,) = re.findall(r'^(name = "two towers .*)$', PAGE.read_text(encoding="utf-8"), re.M)
    weights = tmp_path / "two_towers.pt"
    program = f"import hashlib\nfrom pathlib import Path\n{line}".replace(
        '"two_towers.pt"', repr(str(weights))
    )
    names = []
    for content in (b"one", b"two", b"one"):
        weights.write_bytes(content)
        inside: dict[str, str] = {}
        exec(program, inside)
        names.append(inside["name"])
    assert names[0] == names[2] != names[1]
