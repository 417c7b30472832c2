"""What a dry run shows: real activations of two pictures in two checkpoints, before hours are spent on all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cmon.checkpoints.checkpoint import Checkpoint
from cmon.errors import CmonError
from cmon.extraction.activations import load_checkpoint, run_batch
from cmon.extraction.fitting import FittedRuns
from cmon.extraction.layers.recording import record_activations
from cmon.extraction.settings import ExtractSettings, Sample
from cmon.images.decoding import decode, reason
from cmon.images.preprocessing import Preprocess

_UNIT = 0


def take_samples(fitted: FittedRuns, paths: Sequence[Path], settings: ExtractSettings) -> list[Sample]:
    """The first picture's activations in the first and the last checkpoint, run beside the second picture.

    Raises CmonError where no picture can be read, or a network fails on them.
    """
    path, pixels = _read_two(paths, fitted.preprocess)
    samples = []
    for run, checkpoint in _first_and_last(fitted):
        fit = fitted.fits[checkpoint.signature]
        load_checkpoint(fit, checkpoint, fitted.preprocess, settings)
        batch = fit.conditions.batch(fitted.preprocess, pixels)
        with record_activations(fit.network, fit.outputs, settings.pooling) as record:
            found = run_batch(record, batch, f"{run}/{checkpoint.name}, on {path.name}")
        values = {layer: float(activations[0, _UNIT]) for layer, activations in found.items()}
        samples.append(Sample(run, checkpoint.name, checkpoint.epoch or 0.0, str(path), _UNIT, values))
    return samples


def _first_and_last(fitted: FittedRuns) -> list[tuple[str, Checkpoint]]:
    """Of the first run that has one that can be read, by epoch."""
    readable = [(run, one) for run, one in fitted.checkpoints if one.error is None]
    own = sorted(
        (pair for pair in readable if pair[0] == readable[0][0]), key=lambda pair: pair[1].epoch or 0.0
    )
    return own[:1] + own[1:][-1:]


def _read_two(paths: Sequence[Path], preprocess: Preprocess) -> tuple[Path, np.ndarray]:
    """(The first picture's path, the arrays of the first two that can be read); the one twice where it is alone."""
    read: list[tuple[Path, np.ndarray]] = []
    problem = ""
    for path in paths:
        try:
            read.append((path, preprocess.pixels(decode(path))))
        except Exception as error:  # an image library, or the user's function, can fail in any way
            problem = problem or f"{path.name}: {reason(error)}"
        if len(read) == 2:
            break
    if not read:
        raise CmonError(
            f"{paths[0].parent}: none of the {len(paths)} files can be read as an image",
            expected="PNG, JPEG or other image files",
            found=problem,
        )
    arrays = [array for _, array in read] * (3 - len(read))
    if arrays[0].shape != arrays[1].shape:
        arrays[1] = arrays[0]
    return read[0][0], np.stack(arrays[:2])
