from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from cmon.clip.features import Features
from cmon.errors import CmonError
from cmon.images.files import find_images
from cmon.workspace import schemas
from cmon.workspace.workspace import Workspace
from tests.support import tiny_models

SPEC = "python:tests.support.tiny_models:embedder"


@pytest.fixture
def workspace(tmp_path: Path, probe_folder: Path) -> Workspace:
    """With the table of images, as `extract` leaves it; the third could not be read."""
    found = find_images(probe_folder)
    rows = [
        {
            "image_id": number,
            "path": str(file.path),
            "sha256": file.sha256,
            "status": "skipped" if number == 2 else "ok",
            "error": None,
        }
        for number, file in enumerate(found)
    ]
    workspace = Workspace(tmp_path / "work")
    workspace.write(workspace.table("images"), pa.Table.from_pylist(rows, schema=schemas.IMAGES), "origin")
    return workspace


@pytest.fixture
def features(workspace: Workspace) -> Callable[[], Features]:
    """A new object each time, as another run of the program has it."""
    tiny_models.ColorEmbedder.images_seen = tiny_models.ColorEmbedder.texts_seen = 0
    return lambda: Features(workspace, SPEC, "cpu", "fp32", batch_size=7, workers=0)


def same(items: object, *_: object) -> object:
    return items


def test_images_are_embedded_in_order_without_the_skipped(
    features: Callable[[], Features], probe_folder: Path
) -> None:
    found = features().image_vectors(same)
    assert found.shape == (39, 3)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(39))
    embedder = tiny_models.embedder()
    files = sorted(probe_folder.iterdir())
    for row, number in ((0, 0), (2, 3), (38, 39)):
        with Image.open(files[number]) as image:
            wanted = embedder.encode_images(embedder.preprocess(image)[None])[0]
        torch.testing.assert_close(found[row], wanted / wanted.norm())


def test_batches_do_not_change_the_result(workspace: Workspace, features: Callable[[], Features]) -> None:
    first = features().image_vectors(same)
    for path in workspace.cache.iterdir():
        path.unlink()
    torch.testing.assert_close(Features(workspace, SPEC, "cpu", "fp32", 64, 2).image_vectors(same), first)


def test_what_is_known_does_not_go_through_the_model_again(features: Callable[[], Features]) -> None:
    first, texts = features().image_vectors(same), features().text_vectors(["red", "blue", "red"])
    assert (tiny_models.ColorEmbedder.images_seen, tiny_models.ColorEmbedder.texts_seen) == (39, 2)
    again = features()
    torch.testing.assert_close(again.image_vectors(same), first)
    torch.testing.assert_close(again.text_vectors(["red", "blue", "red"]), texts)
    assert (tiny_models.ColorEmbedder.images_seen, tiny_models.ColorEmbedder.texts_seen) == (39, 2)
    assert "embedder" not in vars(again), "the model was loaded for nothing"
    torch.testing.assert_close(texts[0], texts[2])


def test_only_new_texts_go_through_the_model(features: Callable[[], Features]) -> None:
    first = features().text_vectors(["red", "blue"])
    more = features().text_vectors(["thing", "blue", "red"])
    assert tiny_models.ColorEmbedder.texts_seen == 3
    torch.testing.assert_close(more[[2, 1]], first)


def test_another_embedder_or_precision_shares_nothing(workspace: Workspace, tmp_path: Path) -> None:
    program = tmp_path / "other.py"
    program.write_text(
        "from tests.support.tiny_models import ColorEmbedder\nclass Other(ColorEmbedder):\n    name = 'other'\n"
        "    def encode_texts(self, texts):\n        return -super().encode_texts(texts)\n"
    )
    one = Features(workspace, SPEC, "cpu", "fp32", 8, 0).text_vectors(["red"])
    other = Features(workspace, f"python:{program}:Other", "cpu", "fp32", 8, 0).text_vectors(["red"])
    torch.testing.assert_close(one, -other)
    torch.testing.assert_close(Features(workspace, SPEC, "cpu", "fp32", 8, 0).text_vectors(["red"]), one)
    identities = {
        Features(workspace, SPEC, "cpu", precision, 8, 0).identity for precision in ("fp32", "bf16")
    }
    assert len(identities) == 2


@pytest.mark.parametrize("change", ["vanished", "broken", "another picture"])
def test_an_image_that_is_not_what_extract_read_is_an_error_and_nothing_is_kept(
    workspace: Workspace, features: Callable[[], Features], probe_folder: Path, change: str
) -> None:
    path = probe_folder / "20.png"
    if change == "vanished":
        path.unlink()
    elif change == "broken":
        path.write_bytes(b"broken")
    else:
        Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(path)
    with pytest.raises(CmonError, match=f"(?s){path}: .*run `cmon extract` again"):
        features().image_vectors(same)
    assert not workspace.cache.exists() or not list(workspace.cache.iterdir())


def test_a_damaged_cache_is_made_again(workspace: Workspace, features: Callable[[], Features]) -> None:
    images_before, texts_before = features().image_vectors(same), features().text_vectors(["red"])
    for path in workspace.cache.iterdir():
        path.write_bytes(path.read_bytes()[:-9])
    torch.testing.assert_close(features().image_vectors(same), images_before)
    torch.testing.assert_close(features().text_vectors(["red"]), texts_before)


# -- templates and long texts --------------------------------------------------------------------------


def test_templates_are_averaged_as_unit_vectors(features: Callable[[], Features]) -> None:
    templates = ("a photo of a {}", "{}", "the {} is here")
    found = features().concept_vectors(["red", "thing"], templates)
    wanted = np.zeros((2, 3))
    for template in templates:
        for row, name in enumerate(["red", "thing"]):
            text = template.replace("{}", name)
            vector = tiny_models.embedder().encode_texts([text])[0].double().numpy()
            wanted[row] += vector / np.linalg.norm(vector)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    one = features().concept_vectors(["red"], ["a photo of a {}"])
    torch.testing.assert_close(one, features().text_vectors(["a photo of a red"]))
    torch.testing.assert_close(features().concept_vectors(["red"]), features().text_vectors(["red"]))


def test_a_sentence_that_is_known_does_not_go_through_the_model_again(
    features: Callable[[], Features],
) -> None:
    features().concept_vectors(["red", "blue"], ["a {}"])
    features().concept_vectors(["red", "blue", "mist"], ["a {}", "the {}"])
    assert tiny_models.ColorEmbedder.texts_seen == 2 + 4


def test_texts_that_are_cut_are_named_each_time(
    workspace: Workspace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A CLIP that reads 16 tokens; the template counts too."""
    save_clip(tmp_path / "clip")
    spec = f"local-dir:{tmp_path}/clip"
    names = ["dog", *(" ".join([word] * 13) for word in ("cat", "ant", "bee", "cow"))]
    with caplog.at_level("WARNING", logger="cmon"):
        Features(workspace, spec, "cpu", "fp32", 8, 0).concept_vectors(names)
        assert not caplog.records
        for _ in range(2):
            Features(workspace, spec, "cpu", "fp32", 8, 0).concept_vectors(names, ["a big {}"])
    first, again = (record.getMessage() for record in caplog.records)
    assert first == again
    assert "reads 16 tokens of a text, and 4 of 5 texts are longer" in first
    assert f"{'a big ' + names[1]!r}, {'a big ' + names[2]!r}, {'a big ' + names[3]!r} ..." in first


def save_clip(folder: Path) -> None:
    from open_clip import CLIP

    model = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
    }
    config = {"model_cfg": model, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.save(CLIP(**model).state_dict(), folder / "open_clip_pytorch_model.bin")


# -- images that were moved ----------------------------------------------------------------------------


def test_images_that_were_moved_are_found_by_their_folder_and_content(
    workspace: Workspace, features: Callable[[], Features], probe_folder: Path
) -> None:
    before = features().image_vectors(same)
    moved = probe_folder.rename(probe_folder.with_name("elsewhere"))
    for cached in workspace.cache.iterdir():
        cached.unlink()
    with pytest.raises(CmonError, match="give the folder where the images are now with --images"):
        features().image_vectors(same)
    now = features()
    now.images = moved
    torch.testing.assert_close(now.image_vectors(same), before)
    for cached in workspace.cache.iterdir():
        cached.unlink()
    (moved / "05.png").write_bytes((moved / "06.png").read_bytes())
    with pytest.raises(CmonError, match=r"05\.png: is not there as it was"):
        now.image_vectors(same)
