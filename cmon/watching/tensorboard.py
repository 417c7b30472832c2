"""The numbers and the tracked neurons' pictures in TensorBoard's files, beside what the training writes there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmon.errors import CmonError
from cmon.watching.measures import Findings, Measures
from cmon.watching.pictures import Strip, draw, strips
from cmon.workspace.workspace import Workspace

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Point = tuple[str, int]
"""A tag and a step: in TensorBoard each has one value."""

SCALARS = {
    "d_anchor": "d_anchor",
    "d_anchor_clip": "d_anchor_clip",
    "interpretable": "interpretable",
    "diversity": "effective_labels",
}
"""How a tag `NAME/LAYER` begins, and the measure that it shows."""
STEPS, EPOCHS = "steps", "epochs"
"""What a run's axis counts."""


@dataclass
class _Run:
    """What the files of one run hold."""

    folder: Path
    scalars: dict[Point, np.float32] = field(default_factory=dict)
    pictures: dict[Point, Strip | None] = field(default_factory=dict)
    """None where it was written before this watch began."""
    writer: SummaryWriter | None = None


class TensorBoard:
    """Files for TensorBoard in FOLDER/RUN; those of an earlier watch are gone on with."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        """Raises CmonError where TensorBoard is not installed."""
        try:
            import tensorboard  # noqa: F401  torch only loads it when it writes
        except ImportError as error:
            raise CmonError(
                "--tensorboard: TensorBoard is not installed", hint="pip install 'cmon[tensorboard]'"
            ) from error
        self.workspace = workspace
        self.folder = folder
        self._runs: dict[str, _Run] = {}

    def write(self, findings: Findings) -> None:
        """Add the points that are not there; where one has changed, write all of its run anew.

        Raises CmonError where the files cannot be written.
        """
        by_run: dict[str, list[Measures]] = {}
        for one in findings.measures:
            by_run.setdefault(one.run, []).append(one)
        for run, measures in by_run.items():
            axis, steps = find_steps(measures)
            pictures = {
                (strip.tag, steps[strip.epoch]): strip
                for strip in strips(findings, run)
                if strip.epoch in steps
            }
            try:
                self._write_run(run, axis, dict(_scalars(measures, steps)), pictures, findings)
            except OSError as error:
                self._close(self._runs.pop(run, None))  # what the files hold now is read before the next try
                raise CmonError(
                    f"--tensorboard {self.folder}: cannot be written", found=error.strerror or str(error)
                ) from error

    def close(self) -> None:
        for known in self._runs.values():
            self._close(known)
        self._runs.clear()

    def _write_run(
        self,
        run: str,
        axis: str,
        scalars: Mapping[Point, np.float32],
        pictures: Mapping[Point, Strip],
        findings: Findings,
    ) -> None:
        known = self._runs.get(run) or _read_run(self.folder / run, axis)
        another_axis = any(not path.name.endswith(_suffix(axis)) for path in _files(known.folder))
        if another_axis or _differ(known.scalars, scalars) or _differ(known.pictures, pictures):
            self._close(known)
            for path in _files(known.folder):
                path.unlink()
            known = _Run(known.folder)
        self._runs[run] = known
        new = {point: value for point, value in scalars.items() if point not in known.scalars}
        missing = {strip: point for point, strip in pictures.items() if point not in known.pictures}
        drawn = draw(list(missing), findings, self.workspace)
        if not (new or drawn):
            return
        if known.writer is None:
            from torch.utils.tensorboard import SummaryWriter

            known.writer = SummaryWriter(str(known.folder), filename_suffix=_suffix(axis))
        for (tag, step), value in new.items():
            known.writer.add_scalar(tag, float(value), step)
        for strip, pixels in drawn:
            known.writer.add_image(strip.tag, pixels, missing[strip][1], dataformats="HWC")
        known.writer.flush()
        known.scalars |= new
        known.pictures |= {missing[strip]: strip for strip, _ in drawn}

    @staticmethod
    def _close(known: _Run | None) -> None:
        if known is not None and known.writer is not None:
            known.writer.close()
            known.writer = None


def find_steps(measures: Iterable[Measures]) -> tuple[str, dict[float, int]]:
    """What a run's axis counts in TensorBoard, and the place of each epoch on it.

    The optimizer's steps if all of its checkpoints have them and they grow with the epoch, else epochs, so that one
    axis never counts two things. Epoch 0, before training, is step 0 also where its checkpoint does not say so.
    Epochs that are no whole numbers are left out where there are no steps: TensorBoard would round them.
    """
    known = {one.epoch: 0 if one.step is None and one.epoch == 0 else one.step for one in measures}
    epochs = sorted(map(float, known))
    steps = [step for epoch in epochs if (step := known[epoch]) is not None]
    if len(steps) == len(epochs) and any(steps) and all(low < high for low, high in pairwise(steps)):
        return STEPS, dict(zip(epochs, steps, strict=True))
    return EPOCHS, {epoch: int(epoch) for epoch in epochs if epoch.is_integer()}


def _scalars(measures: Sequence[Measures], steps: Mapping[float, int]) -> Iterator[tuple[Point, np.float32]]:
    for one in measures:
        for name, source in SCALARS.items():
            value = getattr(one, source)
            if value is not None and one.epoch in steps:
                yield (f"{name}/{one.layer}", steps[one.epoch]), np.float32(value)  # as the files hold it


def _differ(written: Mapping[Point, Any], now: Mapping[Point, Any]) -> bool:
    """Whether something was written that is now something else.

    What the workspace no longer has, such as an epoch whose checkpoint was removed, stays as the history that it is,
    and a picture of an earlier watch (None) is not looked at: its number would be another one, too.
    """
    return any(value is not None and point in now and now[point] != value for point, value in written.items())


def _suffix(axis: str) -> str:
    """How the names of cmon's files end: it tells them from the training's own, and what their steps count."""
    return f".{axis}.cmon"


def _files(folder: Path) -> list[Path]:
    """cmon's own, of both axes."""
    return sorted(path for axis in (STEPS, EPOCHS) for path in folder.glob(f"*tfevents*{_suffix(axis)}"))


def _read_run(folder: Path, axis: str) -> _Run:
    """What is written already. Records that a kill cut off are not there."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = _Run(folder)
    for path in _files(folder):
        if not path.name.endswith(_suffix(axis)):
            continue
        content = EventAccumulator(str(path), size_guidance={"scalars": 0, "images": 0}).Reload()
        for tag in content.Tags()["scalars"]:
            found.scalars |= {(tag, event.step): np.float32(event.value) for event in content.Scalars(tag)}
        for tag in content.Tags()["images"]:
            found.pictures |= dict.fromkeys((tag, event.step) for event in content.Images(tag))
    return found
