"""A workspace that has seen the stages on the tiny network, and checkpoints that appear after that."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

import cmon
from cmon.workspace.workspace import Workspace
from tests.support import tiny_models

MODEL = "python:tests.support.tiny_models:network"
CLIP = "python:tests.support.tiny_models:embedder"


def content(epoch: int, **more: Any) -> dict[str, Any]:
    """Of a checkpoint, with other weights for each epoch."""
    torch.manual_seed(epoch)
    return {"state_dict": tiny_models.network().state_dict(), "epoch": epoch, **more}


def save(folder: Path, epoch: int, **more: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"epoch_{epoch}.pt"
    torch.save(content(epoch, **more), path)
    return path


def exchange(path: Path, other: Path) -> None:
    """Give a file another one's bytes, so that nothing but reading it tells: the same size and time."""
    before = os.stat(path)
    assert before.st_size == os.stat(other).st_size
    path.write_bytes(other.read_bytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def run_stages(
    place: Path,
    runs: dict[str, Path],
    probe: Path,
    concepts: Path,
    stages: str = "extract score embed",
    **report: Any,
) -> Workspace:
    """The stages as a user would run them before training is over.

    The layout is one in which a place does not depend on what else is placed: other ones keep what they placed before.
    """
    work = Workspace(place)
    asked = stages.split()
    if "extract" in asked:
        cmon.extract(work, runs, probe, model=MODEL, layers=["conv1", "conv2"], workers=0, device="cpu")
    if "score" in asked:
        cmon.score(work, concepts, clip=CLIP, pseudo_units=200, top_k=8, workers=0, device="cpu")
    if "embed" in asked:
        cmon.embed(work, layout="anchored", device="cpu")
    if "report" in asked:
        cmon.report(work, **report)
    return work
