"""The stage: what is decoded how often, what grows stale when, and that an interrupted run goes on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cmon.errors import CmonError
from cmon.extraction.settings import ExtractResult, ExtractSettings
from cmon.extraction.stage import extract
from cmon.images.files import find_images
from cmon.workspace.table_files import stamp
from cmon.workspace.workspace import Workspace
from tests.support.torch_threads import torch_threads

NETWORK = ExtractSettings(
    f"python:{Path(__file__).parents[1] / 'support' / 'tiny_models.py'}:network",
    ("conv1", "conv2"),
    workers=0,
    batch_size=4,
)


class Job:
    """A workspace with one run on probe images, and changes to any of them."""

    def __init__(self, folder: Path, runs: Path, probe: Path) -> None:
        self.workspace, self.runs, self.probe = folder / "work", {"run": runs}, probe

    def run(self, settings: ExtractSettings = NETWORK, **more: Any) -> ExtractResult:
        return extract(Workspace(self.workspace), self.runs, self.probe, settings, **more)

    def origins(self) -> dict[str, str]:
        """Each activation file with the origin of what it was made from."""
        folder = self.workspace / "activations"
        return {
            path.relative_to(folder).as_posix(): stamp(path)["origin"] for path in folder.rglob("*.parquet")
        }


@pytest.fixture
def job(tmp_path: Path, checkpoints_folder: Path, probe_folder: Path) -> Job:
    return Job(tmp_path, checkpoints_folder, probe_folder)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """So that checkpoints run one after the other."""
    with torch_threads(1):
        yield


def test_each_image_is_decoded_once_however_many_checkpoints_and_runs(job: Job, decoded: list[str]) -> None:
    checkpoints = sorted(job.runs["run"].iterdir())
    assert len(checkpoints) > 1
    job.runs["second"] = job.runs["run"]
    summary = job.run()
    names = sorted(path.name for path in job.probe.rglob("*.*"))
    assert sorted(decoded) == names
    assert summary.made == 2 * 2 * len(checkpoints)

    job.run(replace(NETWORK, layers=("conv1", "conv2", "fc")))  # more to extract, nothing to decode
    torch.save({**torch.load(checkpoints[0]), "epoch": 70}, job.runs["run"] / "epoch_70.pt")
    assert job.run().made == 2 * 3  # the new checkpoint's layers, in both runs, also the one that was added
    assert sorted(decoded) == names


def test_nothing_changed_makes_nothing(job: Job) -> None:
    first = job.run()
    before = job.origins()
    times = {path: path.stat().st_mtime_ns for path in job.workspace.rglob("*") if path.is_file()}
    again = job.run()
    assert (again.made, again.reused) == (0, first.made)
    assert job.origins() == before
    assert times == {path: path.stat().st_mtime_ns for path in job.workspace.rglob("*") if path.is_file()}


def changed(job: Job, change: Callable[[], Any], settings: ExtractSettings = NETWORK) -> set[str]:
    """Extract, change something, extract again: the activation files that were made anew."""
    job.run()
    before = job.origins()
    change()
    summary = job.run(settings)
    after = job.origins()
    renewed = {path for path, origin in after.items() if before.get(path) != origin}
    assert summary.made == len(renewed)
    return renewed


def test_a_changed_weight_renews_its_epoch_and_no_other(job: Job) -> None:
    def change() -> None:
        path = job.runs["run"] / "epoch_1.pt"
        content = torch.load(path)
        content["state_dict"]["conv1.weight"][0, 0, 0, 0] += 1e-3
        torch.save(content, path)

    assert changed(job, change) == {"run/conv1/1.parquet", "run/conv2/1.parquet"}


def test_a_changed_image_renews_everything_and_is_seen_in_its_row(job: Job) -> None:
    job.run()
    before = np.stack(_rows(job, "run/conv1/1.parquet"))
    path = sorted(job.probe.rglob("*.*"))[2]

    def change() -> None:
        Image.new("RGB", (16, 16), (1, 250, 3)).save(path)

    assert changed(job, change) == set(job.origins())
    after = np.stack(_rows(job, "run/conv1/1.parquet"))
    differs = (before != after).any(axis=1)
    names = [file.name for file in find_images(job.probe)]
    assert [name for name, other in zip(names, differs, strict=True) if other] == [
        path.relative_to(job.probe).as_posix()
    ]


def _rows(job: Job, name: str) -> list[np.ndarray]:
    import pyarrow.parquet as pq

    return pq.read_table(job.workspace / "activations" / name)["activations"].to_numpy().tolist()


def test_a_renamed_checkpoint_of_the_same_epoch_is_the_same(job: Job) -> None:
    def change() -> None:
        (job.runs["run"] / "epoch_1.pt").rename(job.runs["run"] / "model_1.pt")

    assert changed(job, change) == set()


def test_another_layer_is_added_and_the_others_stay(job: Job) -> None:
    more = replace(NETWORK, layers=("conv1", "conv2", "fc"))
    renewed = changed(job, lambda: None, more)
    assert renewed == {path for path in set(job.origins()) if path.startswith("run/fc/")}


@pytest.mark.parametrize(
    "settings",
    [
        replace(NETWORK, pooling="max"),
        replace(NETWORK, precision="bf16"),
        replace(NETWORK, image_size=24),
        replace(NETWORK, mean=(0.1, 0.5, 0.5)),
        replace(NETWORK, std=(0.5, 0.25, 0.25)),
    ],
    ids=lambda settings: f"{settings.pooling}-{settings.precision}-{settings.image_size}-{settings.mean}",
)
def test_pooling_precision_and_preprocessing_renew_everything(job: Job, settings: ExtractSettings) -> None:
    assert changed(job, lambda: None, settings) == set(job.origins())


def test_batches_and_workers_change_nothing(job: Job) -> None:
    assert changed(job, lambda: None, replace(NETWORK, batch_size=3, workers=1)) == set()


def test_an_interrupted_run_goes_on_where_it_stopped(job: Job, one_thread: None) -> None:
    """Stopped in the middle of the second checkpoint: the first is kept whole, the second leaves nothing."""

    def stopping(items: Iterable[Any], description: str, total: int) -> Iterator[Any]:
        if description != "extracting activations":
            yield from items
            return
        batches = total // len(list(job.runs["run"].iterdir()))
        yield from itertools.islice(items, batches + 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job.run(progress=stopping)
    assert len(job.origins()) == 2
    assert not list(job.workspace.rglob("*.part"))
    kept = set(job.origins())
    summary = job.run()
    assert summary.reused == len(kept)
    assert kept < set(job.origins())


def test_the_network_stops_after_the_deepest_wanted_layer(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """With only conv1 wanted, the tiny network's mean over positions is never taken after the trace."""
    calls: list[tuple[int, ...]] = []
    real = torch.nn.Linear.forward

    def forward(self: torch.nn.Linear, values: torch.Tensor) -> torch.Tensor:
        calls.append(tuple(values.shape))
        return real(self, values)

    monkeypatch.setattr(torch.nn.Linear, "forward", forward)
    job.run(replace(NETWORK, layers=("conv1",)))
    assert {shape[0] for shape in calls} <= {2, 3}, "only the pictures of the trace came so far"


def test_images_that_the_users_preprocessing_leaves_in_other_shapes_are_skipped(
    job: Job, tmp_path: Path
) -> None:
    """The user's function forgets to resize: what differs in shape from the rest is a row with a reason."""
    (tmp_path / "mine.py").write_text(
        "import torch, numpy\nfrom tests.support import tiny_models\n"
        "def factory():\n"
        "    network = tiny_models.network()\n"
        "    del network.preprocess\n"
        "    network.preprocess = lambda image: torch.from_numpy(\n"
        "        numpy.array(image.crop((0, 0, 16, 16 if image.width < 250 else 17)))).permute(2, 0, 1).float()\n"
        "    return network\n"
    )
    settings = replace(NETWORK, model=f"python:{tmp_path / 'mine.py'}:factory")
    with pytest.raises(
        CmonError, match=r"none of the 40 files .*(\n.*)*gives \(3, 16, 16\), where \(3, 17, 16\)"
    ):
        job.run(settings)
    Image.new("RGB", (256, 256)).save(job.probe / "wide.png")
    summary = job.run(settings)
    assert (summary.images, len(summary.skipped_images)) == (1, 40)
