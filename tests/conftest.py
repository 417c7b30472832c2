"""Shared fixtures, built in code from a seed. No test reaches for the network."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Before anything imports huggingface_hub: a machine that has weights in its cache must not differ from one
# that has none.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="cmon-tests-")

import pytest
import torch
from hypothesis import settings

from tests.support import tiny_inputs

settings.register_profile("cmon", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("cmon")

LONG = (
    "scripts/soak/test_soak.py",
    "storage",
    "distributed",
    "hostile/test_memory.py",
    "cases",
    "reporting",
    "watching",
    "test_end_to_end.py",
    "embedding",
)
"""Files and folders whose tests take long: they begin first, or one process would end alone, long after the others."""

SHARED = Path(__file__).parents[2] / "shared"
"""Reference data beside the repository; not part of it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folders = [Path(__file__).parent / name for name in LONG]

    def place(item: pytest.Item) -> int:
        return next((at for at, own in enumerate(folders) if item.path.is_relative_to(own)), len(folders))

    items.sort(key=place)


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """The path of a folder of reference data; skips the test where it is absent."""

    def folder(name: str) -> Path:
        if not (SHARED / name).is_dir():
            pytest.skip(f"../shared/{name} is not there: reference data lies beside the repository")
        return SHARED / name

    return folder


@pytest.fixture(scope="module")
def coarse_figures() -> Iterator[None]:
    """Reports are drawn with few pixels, where it is not about these: most of a drawing's time goes into them."""
    from cmon.reporting.figures import style  # here, since it loads matplotlib

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "DPI", 40)
        yield


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def checkpoints_folder(tmp_path: Path) -> Path:
    """A run of two epochs of the tiny network, and nothing else."""
    return tiny_inputs.write_checkpoints(tmp_path / "runs" / "standard")


@pytest.fixture
def probe_folder(tmp_path: Path) -> Path:
    """40 small pictures, each of one colour with noise."""
    return tiny_inputs.write_probe(tmp_path / "probe")


@pytest.fixture
def concepts_file(tmp_path: Path) -> Path:
    return tiny_inputs.write_concepts(tmp_path / "concepts.csv")


@pytest.fixture
def without_rights() -> Iterator[Callable[[], object]]:
    """`with without_rights():` runs as a user who may not read what belongs to the tests' user."""

    @contextmanager
    def nobody() -> Iterator[None]:
        if os.geteuid() != 0:  # then a mode of 0 alone keeps the tests' user out
            yield
            return
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    return nobody


@pytest.fixture
def locked_folder() -> Iterator[Path]:
    """A folder with a file in it that `without_rights` cannot look into."""
    with tempfile.TemporaryDirectory() as name:  # not tmp_path, whose parents only its owner may enter
        folder = Path(name)
        (folder / "epoch_1.pt").write_bytes(b"x")
        folder.chmod(0)
        yield folder
        folder.chmod(0o700)
