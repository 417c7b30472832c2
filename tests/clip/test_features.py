from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from cmon.clip import own as own_embedders
from cmon.clip.features import Features
from cmon.errors import CmonError
from cmon.images.files import find_images
from cmon.workspace import schemas
from cmon.workspace.files import file_digest
from cmon.workspace.workspace import Workspace
from tests.support import tiny_models

ROOT = Path(__file__).parents[2]
SPEC = "python:tests.support.tiny_models:embedder"


@pytest.fixture
def workspace(tmp_path: Path, probe_folder: Path) -> Workspace:
    workspace = Workspace(tmp_path / "work")
    list_images(workspace, probe_folder, skipped=2)
    return workspace


def list_images(workspace: Workspace, folder: Path, skipped: int | None = None) -> None:
    """The table of images as `extract` leaves it; the one of number `skipped` could not be read."""
    rows = [
        {
            "image_id": number,
            "path": str(file.path),
            "sha256": file.sha256,
            "status": "skipped" if number == skipped else "ok",
            "error": None,
        }
        for number, file in enumerate(find_images(folder))
    ]
    workspace.write(workspace.table("images"), pa.Table.from_pylist(rows, schema=schemas.IMAGES), "origin")


def twin(workspace: Workspace) -> torch.Tensor:
    """Literally: every image of the table by itself, afresh."""
    embedder, vectors = tiny_models.ColorEmbedder(), []
    seen = tiny_models.ColorEmbedder.images_seen
    for row in workspace.read("images").to_pylist():
        if row["status"] == "ok":
            with Image.open(row["path"]) as image:
                (vector,) = embedder.encode_images(embedder.preprocess(image)[None]).double().numpy()
            vectors.append(vector / np.sqrt((vector**2).sum()))
    tiny_models.ColorEmbedder.images_seen = seen
    return torch.from_numpy(np.array(vectors)).float()


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
    shutil.rmtree(workspace.cache)
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
def test_an_image_that_is_not_what_extract_read_is_an_error_and_nothing_of_it_is_kept(
    workspace: Workspace, features: Callable[[], Features], probe_folder: Path, change: str
) -> None:
    path = probe_folder / "20.png"
    before = path.read_bytes()
    if change == "vanished":
        path.unlink()
    elif change == "broken":
        path.write_bytes(b"broken")
    else:
        Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(path)
    with pytest.raises(CmonError, match=f"(?s){path}: .*run `cmon extract` again"):
        features().image_vectors(same)
    assert tiny_models.ColorEmbedder.images_seen == 14, "the batches before it"
    path.write_bytes(before)
    torch.testing.assert_close(features().image_vectors(same), twin(workspace))
    assert tiny_models.ColorEmbedder.images_seen == 39, "they were kept, and no other"


def test_an_image_that_is_known_need_not_be_there(
    features: Callable[[], Features], probe_folder: Path
) -> None:
    before = features().image_vectors(same)
    shutil.rmtree(probe_folder)
    torch.testing.assert_close(features().image_vectors(same), before)


def test_a_damaged_cache_is_made_again(
    workspace: Workspace, features: Callable[[], Features], caplog: pytest.LogCaptureFixture
) -> None:
    images_before, texts_before = features().image_vectors(same), features().text_vectors(["red"])
    found = list(workspace.cache.rglob("*.parquet"))
    assert len(found) == 2
    for path in found:
        path.write_bytes(path.read_bytes()[:-9])
    torch.testing.assert_close(features().image_vectors(same), images_before)
    torch.testing.assert_close(features().text_vectors(["red"]), texts_before)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        str(path) for path in sorted(found)
    ]


# -- one image more, or less ---------------------------------------------------------------------------


def test_only_what_is_new_is_embedded(
    workspace: Workspace, features: Callable[[], Features], probe_folder: Path
) -> None:
    """Each step: what is done to the folder, and how many images go through the model."""

    def picture(name: str, level: int) -> None:
        Image.fromarray(np.full((9, 9, 3), [level, 90, 20], np.uint8)).save(probe_folder / name)

    for what, count in (
        (lambda: None, 40),
        (lambda: None, 0),
        (lambda: picture("05a.png", 10), 1),
        (lambda: (probe_folder / "11.png").unlink(), 0),
        (lambda: picture("17.png", 20), 1),
        (lambda: shutil.copy(probe_folder / "30.png", probe_folder / "00copy.png"), 0),
        (lambda: [picture(f"new{number}.png", 99) for number in range(3)], 1),
        (lambda: (probe_folder / "30.png").rename(probe_folder / "99.png"), 0),
        (lambda: picture("11.png", 10), 0),
    ):
        what()
        list_images(workspace, probe_folder)
        tiny_models.ColorEmbedder.images_seen = 0
        torch.testing.assert_close(features().image_vectors(same), twin(workspace))
        assert tiny_models.ColorEmbedder.images_seen == count


def test_of_copies_one_that_is_still_there_is_taken(
    workspace: Workspace, features: Callable[[], Features], probe_folder: Path
) -> None:
    shutil.copy(probe_folder / "30.png", probe_folder / "00copy.png")
    list_images(workspace, probe_folder)
    wanted = twin(workspace)
    (probe_folder / "00copy.png").write_bytes(b"changed")
    torch.testing.assert_close(features().image_vectors(same), wanted)


def test_new_texts_are_added_and_old_files_stay(
    workspace: Workspace, features: Callable[[], Features]
) -> None:
    words = [f"word {number}" for number in range(1100)]
    features().text_vectors(words)
    before = {path: path.stat().st_mtime_ns for path in workspace.cache.rglob("*.parquet")}
    assert len(before) == 3
    tiny_models.ColorEmbedder.texts_seen = 0
    found = features().text_vectors(["new", *reversed(words), "new"])
    assert tiny_models.ColorEmbedder.texts_seen == 1
    assert {path: path.stat().st_mtime_ns for path in before} == before
    wanted = [tiny_models.embedder().encode_texts([text])[0] for text in ["new", *reversed(words), "new"]]
    torch.testing.assert_close(found, torch.nn.functional.normalize(torch.stack(wanted)))


# -- a user's own embedder, in processes of its own ----------------------------------------------------


OWN = """
import os
import signal
from pathlib import Path

import torch

LOG = Path({log!r})


def log(line):
    before = LOG.read_text() if LOG.exists() else ""
    LOG.write_text(before + line + "\\n")
    if (before + line).count("images 8") * 8 == {kill_at}:
        os.kill(os.getpid(), signal.SIGKILL)


class Own:
    name = {name}

    def preprocess(self, image):
        return torch.tensor(image.getpixel((0, 0))).float().view(3, 1, 1) / 255

    def encode_images(self, batch):
        log(f"images {{len(batch)}}")
        return batch.flatten(1) + 0.01

    def encode_texts(self, texts):
        log(f"texts {{len(texts)}}")
        return torch.tensor([[len(text), 1.0, text.count("e")] for text in texts])


def make():
    log("factory 1")
    return Own()
"""

PROGRAM = """
import sys

from cmon.clip.features import Features
from cmon.workspace.workspace import Workspace

features = Features(Workspace(sys.argv[1]), sys.argv[2], "cpu", "fp32", 8, int(sys.argv[3]))
features.image_vectors(lambda items, *_: items)
features.text_vectors(["red", "green", "blue"])
features.identity
"""


class Own:
    """A user's embedder in a file, which writes a line whenever it is called."""

    def __init__(self, folder: Path) -> None:
        self.path, self.log = folder / "own.py", folder / "own.log"
        self.write()

    def write(self, name: str = "'own'", kill_at: int = -1) -> None:
        self.path.write_text(OWN.format(log=str(self.log), name=name, kill_at=kill_at))

    def start(self, workspace: Workspace, workers: int = 0) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", PROGRAM, workspace.root, f"python:{self.path}:make", str(workers)]
        return subprocess.Popen(command, cwd=ROOT)

    def run(self, workspace: Workspace, workers: int = 0) -> dict[str, int]:
        """What was called in this process, and with how many."""
        self.log.unlink(missing_ok=True)
        assert self.start(workspace, workers).wait() == 0
        return self.calls()

    def calls(self) -> dict[str, int]:
        found: Counter[str] = Counter()
        for line in self.log.read_text().splitlines() if self.log.exists() else []:
            found[line.split()[0]] += int(line.split()[1])
        return dict(found)

    def vectors(self, workspace: Workspace) -> torch.Tensor:
        features = Features(workspace, f"python:{self.path}:make", "cpu", "fp32", 8, 0)
        return features.image_vectors(same)


@pytest.fixture
def own(tmp_path: Path) -> Own:
    return Own(tmp_path)


def paint(folder: Path, count: int) -> torch.Tensor:
    """Pictures of one pixel, no two alike, in natural order; and what `Own` gives for them."""
    folder.mkdir()
    colors = [(number % 256, number // 256, 77) for number in range(count)]
    for number, color in enumerate(colors):
        Image.new("RGB", (1, 1), color).save(folder / f"{number}.png")
    return torch.nn.functional.normalize(torch.tensor(colors) / 255 + 0.01)


def test_a_factory_is_called_once_and_not_at_all_when_nothing_is_to_do(
    workspace: Workspace, own: Own, probe_folder: Path
) -> None:
    assert own.run(workspace) == {"factory": 1, "images": 39, "texts": 3}
    assert own.run(workspace) == {}
    (probe_folder / "11.png").unlink()
    list_images(workspace, probe_folder)
    assert own.run(workspace) == {"images": 1, "factory": 1}, "2 had been skipped"
    own.write(name="'other'")
    assert own.run(workspace) == {"factory": 1, "images": 39, "texts": 3}
    own.write(name="''.join(['o', 'w', 'n'])")
    assert own.run(workspace) == {"factory": 1}, "a computed name has to be asked for"


def test_what_was_embedded_before_a_kill_is_not_embedded_again(
    workspace: Workspace, own: Own, tmp_path: Path
) -> None:
    wanted = paint(tmp_path / "many", 1100)
    list_images(workspace, tmp_path / "many")
    own.write(kill_at=1040)
    assert own.start(workspace, workers=1).wait() == -signal.SIGKILL
    assert own.calls() == {"factory": 1, "images": 1040}
    assert len(list(workspace.cache.rglob("*.parquet"))) == 2
    own.write()
    assert own.run(workspace, workers=1) == {"factory": 1, "images": 1100 - 1024, "texts": 3}
    torch.testing.assert_close(own.vectors(workspace), wanted)
    assert not list(workspace.cache.rglob(".*"))


def test_two_processes_at_once_end_with_the_same(workspace: Workspace, own: Own, tmp_path: Path) -> None:
    wanted = paint(tmp_path / "many", 600)
    list_images(workspace, tmp_path / "many")
    processes = [own.start(workspace) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    torch.testing.assert_close(own.vectors(workspace), wanted)


# -- an embedder that is none --------------------------------------------------------------------------


def broken(own: Own, old: str, new: str) -> None:
    source = own.path.read_text()
    assert old in source
    own.path.write_text(source.replace(old, new))


def test_images_and_texts_of_several_lengths_are_refused(workspace: Workspace, own: Own) -> None:
    broken(own, "text.count", "4.0, text.count")
    features = Features(workspace, f"python:{own.path}:make", "cpu", "fp32", 8, 0)
    features.image_vectors(same)
    message = r"(?s)expected: 3 numbers in a vector, as in .*texts and images.*found:    4.*another name"
    with pytest.raises(CmonError, match=message):
        features.text_vectors(["red"])


def test_an_embedder_that_has_changed_under_its_name_is_refused_where_it_shows(
    workspace: Workspace, own: Own
) -> None:
    Features(workspace, f"python:{own.path}:make", "cpu", "fp32", 8, 0).text_vectors(["red"])
    broken(own, "text.count", "4.0, text.count")
    features = Features(workspace, f"python:{own.path}:make", "cpu", "fp32", 8, 0)
    with pytest.raises(
        CmonError, match=r"(?s)expected: 3 numbers in a vector, as in those of the same kind before"
    ):
        features.text_vectors(["blue"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "return torch.tensor(image",
            "return torch.zeros(3, image.width, 1) if image.width < 256 else torch.tensor(image",
            r"makes pictures of several sizes\n  expected: shape \(3, 1, 1\) .*\n  found:    \(3, 24, 1\) of .*00.png",
        ),
        (
            "return torch.tensor(image",
            "assert image.width == 256, 'too small'; return torch.tensor(image",
            r"00.png: could not be prepared for --clip .*\n.*\n  found:    too small\n  next:     call its preprocess",
        ),
        (
            "return torch.tensor(image",
            "return list(image",
            r"its preprocess makes no picture.*\n.*\n  found:    Attr",
        ),
        (
            "return batch.flatten(1) + 0.01",
            "return batch.flatten(1) * (torch.arange(len(batch)) != 2)[:, None]",
            r"encode_images gave only zeros\n.*\n  found:    only zeros for 1 of 8: '.*03.png'",
        ),
        (
            "return batch.flatten(1)",
            "return batch",
            r"encode_images gave no features\n.*\n.*shape \(8, 3, 1, 1\)",
        ),
    ],
)
def test_what_an_embedder_makes_of_images_is_checked(
    workspace: Workspace, own: Own, old: str, new: str, message: str
) -> None:
    broken(own, old, new)
    features = Features(workspace, f"python:{own.path}:make", "cpu", "fp32", 8, 0)
    with pytest.raises(CmonError, match=message):
        features.image_vectors(same)


def test_a_name_that_is_not_what_the_module_says_is_refused_once(workspace: Workspace, own: Own) -> None:
    """The module says 'own' in plain text, and changes it in a way that its text does not show."""
    spec = f"python:{own.path}:make"
    Features(workspace, spec, "cpu", "fp32", 8, 0).text_vectors(["red"])
    own_embedders._made.clear()
    (own.path.parent / "renamed").touch()
    broken(
        own, "return Own()", "vars_of = vars(found := Own()); vars_of[chr(110) + 'ame'] = 'new'; return found"
    )
    memory = json.loads(next(workspace.cache.glob("embedder-*.json")).read_text())
    memory["module"] = file_digest(own.path)
    next(workspace.cache.glob("embedder-*.json")).write_text(json.dumps(memory))
    with pytest.raises(CmonError, match=r"(?s)has another name than at an earlier run.*found:    new"):
        Features(workspace, spec, "cpu", "fp32", 8, 0).text_vectors(["blue"])
    own_embedders._made.clear()
    again = Features(workspace, spec, "cpu", "fp32", 8, 0)
    assert again._text_parts.read().missing(["red", "blue"]) == ["red", "blue"]
    again.text_vectors(["red"])


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
    shutil.rmtree(workspace.cache)
    with pytest.raises(CmonError, match="give the folder where the images are now with --images"):
        features().image_vectors(same)
    now = features()
    now.images = moved
    torch.testing.assert_close(now.image_vectors(same), before)
    shutil.rmtree(workspace.cache)
    (moved / "05.png").write_bytes((moved / "06.png").read_bytes())
    with pytest.raises(CmonError, match=r"05\.png: is not there as it was"):
        now.image_vectors(same)
