"""A small job that is done by several processes, and by one to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cmon
from cmon.workspace.workspace import Workspace
from tests.support import held_network

WORDS = ("red", "green", "blue", "yellow", "grey", "mist", "noise", "thing")
TABLES = {
    "extract": ("images", "checkpoints", "shards"),
    "score": ("vocabulary", "units", "concepts", "scores"),
}


@dataclass(frozen=True)
class SpreadJob:
    """Two runs with eight checkpoints, of which one cannot be read and one fails on pictures."""

    folder: Path
    probe: Path

    @property
    def hold(self) -> Path:
        """While this file is there, the last epochs wait."""
        return self.folder / "held" / "hold"

    @property
    def runs(self) -> dict[str, Path]:
        return {name: self.folder / "runs" / name for name in ("a", "b")}

    def save(self) -> None:
        """Write the checkpoints."""
        self.hold.parent.mkdir(parents=True)
        for epoch in range(5):
            does = held_network.WAITS if epoch >= 2 else 0.0
            held_network.save(self.runs["a"], epoch, does)
        held_network.save(self.runs["b"], 0)
        held_network.save(self.runs["b"], 1, held_network.FAILS)
        (self.runs["b"] / "epoch_2.pt").write_bytes(b"no checkpoint")

    def extract(self, root: Path, **more: Any) -> Any:
        return cmon.extract(root, self.runs, self.probe, **(self.options | more))

    @property
    def options(self) -> dict[str, Any]:
        return {
            "model": "python:tests.support.held_network:network", "model_arguments": {"hold": str(self.hold)},
            "layers": ["conv1", "conv2"], "device": "cpu", "workers": 0, "batch_size": 16,
        }  # fmt: skip

    def score(self, root: Path, **more: Any) -> Any:
        return cmon.score(
            root, WORDS, clip="python:tests.support.tiny_models:embedder", top_k=4, pseudo_units=50, device="cpu",
            workers=0, **more,
        )  # fmt: skip


def assert_same_tables(one: Path, other: Path, stage: str) -> None:
    """Value for value, and no other files of activations, units or concepts."""
    first, second = Workspace(one), Workspace(other)
    for name in TABLES[stage]:
        assert first.read(name).equals(second.read(name)), name
    for row in first.read("shards").to_pylist():
        assert first.read_group("activations", row).equals(second.read_group("activations", row)), row
    assert files(one, "*/*/*/*.parquet") == files(other, "*/*/*/*.parquet")


def files(root: Path, pattern: str = "activations/*/*/*.parquet") -> dict[str, None]:
    return dict.fromkeys(sorted(path.relative_to(root).as_posix() for path in root.glob(pattern)))
