"""Which network the checkpoints of each run fit, and what its layers give: all that is known before any image.

folders --survey--> checkpoints --match keys, build, trace--> one `Fit` per signature, and each epoch once
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cmon.checkpoints import checkpoint, runs
from cmon.checkpoints.checkpoint import Checkpoint
from cmon.errors import CmonError
from cmon.extraction import hooks
from cmon.extraction import network as models
from cmon.extraction.hooks import LayerOutput
from cmon.extraction.settings import ExtractSettings
from cmon.images import preprocessing
from cmon.images.decoding import blank
from cmon.progress import Progress
from cmon.workspace.keys import epoch_text

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fit:
    """A network that the weights of one signature fit, and what its layers give."""

    network: torch.nn.Module
    outputs: list[LayerOutput]
    prefix: str
    """Under which the network's names lie in the checkpoints."""
    tensors: int
    """How many tensors the network has; all of them are matched."""
    beside: list[str]
    """What lies outside the prefix, and is not read."""


def fitted(
    folders: Mapping[str, Path],
    settings: ExtractSettings,
    known: Iterable[Mapping[str, Any]],
    progress: Progress,
) -> tuple[runs.Found, dict[str | None, Fit], preprocessing.Preprocess]:
    """Find the checkpoints, build one network per signature, see what its layers give; skip what fits none.

    known: rows of an earlier table `checkpoints`.
    """
    found = runs.survey(folders, settings.weights, settings.trust_pickle, known, progress)
    fits: dict[str | None, Fit] = {}
    failures: dict[str | None, CmonError] = {}
    preprocess: preprocessing.Preprocess | None = None
    for position, (run, one) in enumerate(found):
        if one.error is None and one.signature not in fits and one.signature not in failures:
            try:
                tensors = checkpoint.unchanged(one, settings.trust_pickle)
            except CmonError as error:  # the next of the same signature may do
                found[position] = run, one.skipped(error)
                continue
            try:
                fits[one.signature], preprocess = _fit(tensors, settings, preprocess)
            except models.WeightsMismatch as error:
                failures[one.signature] = error
        found[position] = run, _with_keys(one, fits.get(one.signature), failures.get(one.signature))
    if preprocess is None:
        if failures:
            raise next(iter(failures.values()))
        runs.each_epoch_once(found)  # says that none can be read
        raise AssertionError("a readable checkpoint either fits or fails")
    found = runs.each_epoch_once(found)
    _warn(found, fits)
    return found, fits, preprocess


def _fit(
    tensors: Mapping[str, torch.Tensor],
    settings: ExtractSettings,
    preprocess: preprocessing.Preprocess | None,
) -> tuple[Fit, preprocessing.Preprocess]:
    """The network that these weights fit, traced once, and the preprocessing: the given one, or else its own."""
    network = models.build(settings.model, settings.model_arguments, tensors)
    match = models.load(network, tensors, settings.model)
    preprocess = preprocess or models.preprocess(
        settings.model, network, settings.image_size, settings.mean, settings.std
    )
    check(match, preprocess, settings)
    example = preprocess.batch(preprocess.pixels(blank())[None])
    outputs = (
        hooks.trace(network, settings.layers, example)
        if settings.layers
        else hooks.trace_all(network, example)
    )
    hooks.check_pooling(outputs, settings.pooling)
    return Fit(network, outputs, match.prefix, match.wanted, sorted(match.beside)), preprocess


def check(match: models.Match, preprocess: preprocessing.Preprocess, settings: ExtractSettings) -> None:
    """Raise WeightsMismatch where weights of the right names and shapes would still give wrong activations."""
    if match.averaged and settings.weights == "raw":
        raise models.WeightsMismatch(
            f"only the averaged weights under {match.prefix!r} fit {settings.model}",
            expected="raw weights, as --weights says",
            hint="use --weights ema",
        )
    if match.normaliser and isinstance(preprocess, preprocessing.ResizeCrop):
        inside = match.normaliser
        outside = preprocess.mean, preprocess.std
        if not np.allclose(inside, outside, atol=1e-3):
            shown = [
                ", ".join(" ".join(f"{value:.4g}" for value in values) for values in pair)
                for pair in (inside, outside)
            ]
            raise models.WeightsMismatch(
                "the checkpoint's network was trained behind another normaliser",
                expected=f"mean and std {shown[0]}, as stored in the checkpoint",
                found=f"{shown[1]} in the preprocessing",
                hint="give --mean and --std",
            )


def _with_keys(one: Checkpoint, fit: Fit | None, failure: CmonError | None) -> Checkpoint:
    """A checkpoint with how its tensors meet the network's."""
    if one.error is not None:
        return one
    if fit is not None:
        return replace(one, prefix=fit.prefix, tensors=fit.tensors, tensors_matched=fit.tensors)
    if isinstance(failure, models.WeightsMismatch) and failure.wanted:
        one = replace(one, tensors=failure.wanted, tensors_matched=failure.matched)
    return one.skipped(failure) if failure is not None else one


def _warn(found: runs.Found, fits: Mapping[str | None, Fit]) -> None:
    """Say what a reader of the results would want to know of how the checkpoints were read, once per run."""
    for run in dict.fromkeys(run for run, _ in found):
        own = [one for name, one in found if name == run and one.error is None]
        if odd := runs.disagreements(own):
            one, named = odd[0]
            logger.warning(
                "%s: %d of %d checkpoints store another epoch than their name says (%s: %s inside, %s in its "
                "name); the one inside is used",
                run, len(odd), len(own), one.name, epoch_text(one.epoch or 0), epoch_text(named),
            )  # fmt: skip
        if any(one.epoch_from == "step" for one in own):
            logger.warning("%s: its checkpoints tell no epoch, only steps; the step stands as the epoch", run)
        beside = sorted({name for one in own for name in fits[one.signature].beside})
        if beside:
            shown = ", ".join(beside[:3]) + (" ..." if len(beside) > 3 else "")
            one_or_more = "1 tensor lies" if len(beside) == 1 else f"{len(beside)} tensors lie"
            logger.warning(
                "%s: %s beside the network in its checkpoints and %s not read: %s",
                run, one_or_more, "is" if len(beside) == 1 else "are", shown,
            )  # fmt: skip
