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

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from tests.support import tiny_models

settings.register_profile("cmon", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("cmon")

SHARED = Path(__file__).parents[2] / "shared"
"""Reference data beside the repository; not part of it."""


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """The path of a folder of reference data; skips the test where it is absent."""

    def folder(name: str) -> Path:
        if not (SHARED / name).is_dir():
            pytest.skip(f"../shared/{name} is not there: reference data lies beside the repository")
        return SHARED / name

    return folder


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def checkpoints_folder(tmp_path: Path) -> Path:
    """A run of two epochs of the tiny network, and nothing else."""
    folder = tmp_path / "runs" / "standard"
    folder.mkdir(parents=True)
    for epoch in range(2):
        torch.manual_seed(epoch)
        content = {"state_dict": tiny_models.network().state_dict(), "epoch": epoch}
        torch.save(content, folder / f"epoch_{epoch}.pt")
    return folder


@pytest.fixture
def probe_folder(tmp_path: Path) -> Path:
    """40 small pictures, each of one colour with noise."""
    folder = tmp_path / "probe"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(40):
        color = np.array(list(tiny_models.COLORS.values())[number % len(tiny_models.COLORS)])
        pixels = np.clip(255 * color + random.normal(0, 40, (20, 24, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture
def concepts_file(tmp_path: Path) -> Path:
    path = tmp_path / "concepts.csv"
    rows = [f"{color},color" for color in tiny_models.COLORS]
    path.write_text("\n".join(["concept,category", *rows, "mist,", "noise,", "thing,"]) + "\n")
    return path


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
