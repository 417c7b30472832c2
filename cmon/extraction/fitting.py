"""Which network the checkpoints of each run fit, and what its layers give: all that is known before any image.

folders --inspect--> checkpoints --match names, build, trace--> one `Fit` per signature, and each epoch once
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cmon.checkpoints import names, runs
from cmon.checkpoints.checkpoint import Checkpoint, read_unchanged
from cmon.checkpoints.runs import RunCheckpoints
from cmon.checkpoints.state_dict import Match, WeightsMismatch
from cmon.errors import CmonError
from cmon.extraction.choice import choose_epochs
from cmon.extraction.conditions import Conditions, find_conditions, fit_channels
from cmon.extraction.fused.recording import find_fused
from cmon.extraction.layers.output import LayerOutput
from cmon.extraction.layers.recording import can_be_pooled, check_pooling
from cmon.extraction.layers.trace import trace, trace_all
from cmon.extraction.network import build_network, load_weights
from cmon.extraction.preprocessing import FoundPreprocess, find_preprocess
from cmon.extraction.settings import ExtractSettings
from cmon.images.preprocessing import Preprocess, ResizeCrop
from cmon.images.trial import trial_pictures
from cmon.progress import Progress
from cmon.workspace.keys import epoch_text

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fit:
    """A network that the weights of one signature fit, and what its layers give."""

    network: torch.nn.Module
    conditions: Conditions
    """Under which it was traced, and is run."""
    outputs: list[LayerOutput]
    """Of the wanted layers, in order of execution."""
    refused: dict[str, str]
    """Why layers cannot be read, where all of them were to be listed; by name."""
    prefix: str
    """In front of the network's names in the checkpoints."""
    tensors: int
    """How many tensors the network has; all of them are matched."""
    outside: list[str]
    """Names of the tensors without the prefix, which are not read."""
    fused: bool = False
    """Whether the network can be run with its batch norms in its convolutions, and that is faster."""
    why_not_fused: str | None = None
    """What came in the way where its forward pass could not be followed."""


@dataclass(frozen=True)
class FittedRuns:
    """All checkpoints of all runs, and the networks that they fit."""

    checkpoints: RunCheckpoints
    """Skipped ones included."""
    fits: dict[str | None, Fit]
    """By signature; every checkpoint without an error has one."""
    examples: dict[str | None, Checkpoint]
    """The checkpoint with whose weights the network of a signature was traced."""
    found_preprocess: FoundPreprocess
    """The same for all networks."""

    @property
    def preprocess(self) -> Preprocess:
        return self.found_preprocess.preprocess

    @property
    def used(self) -> list[Fit]:
        """The fits of checkpoints that are read, in their order."""
        signatures = dict.fromkeys(one.signature for _, one in self.checkpoints if one.error is None)
        return [self.fits[signature] for signature in signatures]

    @property
    def notes(self) -> tuple[str, ...]:
        """What else should be known of how networks run."""
        said = [
            f"the network's maps are contiguous in memory, since {fit.conditions.why_contiguous}"
            for fit in self.used
            if fit.conditions.why_contiguous
        ]
        said += [
            f"the network runs as it is written, which is slower, since it cannot be followed: {fit.why_not_fused}"
            for fit in self.used
            if fit.why_not_fused
        ]
        return tuple(dict.fromkeys(said))


def fit_networks(
    folders: Mapping[str, Path],
    settings: ExtractSettings,
    known: Iterable[Mapping[str, Any]],
    progress: Progress,
) -> FittedRuns:
    """Find the checkpoints, build one network per signature, trace its layers; skip checkpoints that fit none.

    folders: by the run's name. known: rows of an earlier table `checkpoints`.
    Raises CmonError when a folder, model or layer does not exist, or nothing can be read from a run.
    """
    found = runs.inspect_runs(
        folders, settings.weights, settings.trust_pickle, known, progress, settings.finished
    )
    fits: dict[str | None, Fit] = {}
    examples: dict[str | None, Checkpoint] = {}
    failures: dict[str | None, WeightsMismatch] = {}
    preprocess: FoundPreprocess | None = None
    for position, (run, one) in enumerate(found):
        if one.error is None and one.signature not in fits and one.signature not in failures:
            try:
                tensors = read_unchanged(one, settings.trust_pickle)
            except CmonError as error:  # another one of the same signature may be readable
                found[position] = run, one.skipped(error)
                continue
            try:
                fits[one.signature], preprocess = fit_network(tensors, settings, preprocess)
                examples[one.signature] = one
            except WeightsMismatch as error:
                failures[one.signature] = error
        found[position] = run, _with_match(one, fits.get(one.signature), failures.get(one.signature))
    if preprocess is None:
        if failures:
            raise next(iter(failures.values()))
        runs.deduplicate_runs(found)  # raises, since no checkpoint can be read
        raise AssertionError("a readable checkpoint either fits or fails")
    found = choose_epochs(runs.deduplicate_runs(found, settings.trust_pickle), settings.epochs)
    _warn(found, fits, settings.weights)
    _warn_of_defaults(settings.model, preprocess)
    fitted = FittedRuns(found, fits, examples, preprocess)
    if settings.layers:
        _warn_of_layers([output for fit in fitted.used for output in fit.outputs], settings.pooling)
    return fitted


def fit_network(
    tensors: Mapping[str, torch.Tensor], settings: ExtractSettings, preprocess: FoundPreprocess | None
) -> tuple[Fit, FoundPreprocess]:
    """The network that these weights fit, traced once, and the preprocessing: the given one, or else its own.

    Raises CmonError when the model does not exist, WeightsMismatch when the weights do not fit it.
    """
    network = build_network(settings.model, settings.model_arguments, tensors)
    match = load_weights(network, tensors, settings.model)
    if preprocess is None:
        preprocess = find_preprocess(
            settings.model, network, settings.image_size, settings.mean, settings.std
        )
        plain = Conditions(settings.device, settings.dtype, channels_last=False)
        preprocess = fit_channels(settings.model, network, preprocess, plain)
    own = preprocess.preprocess
    check_fit(match, own, settings)
    conditions = find_conditions(network, settings.layers, own, settings.device, settings.dtype)
    pictures = conditions.batch(own, np.stack([own.pixels(picture) for picture in trial_pictures(3)]))
    refused: dict[str, str] = {}
    fused, why_not_fused = False, None
    if settings.layers:
        outputs = trace(network, settings.layers, pictures)
        check_pooling(outputs, settings.pooling)
        fused, why_not_fused = find_fused(network, outputs, settings.device)
    else:
        outputs, problems = trace_all(network, pictures)
        refused = {name: error.line.removeprefix(f"--layer {name}: ") for name, error in problems.items()}
        outputs = [output for output in outputs if can_be_pooled(output, settings.pooling)]
    return Fit(
        network,
        conditions,
        outputs,
        refused,
        match.prefix,
        match.total,
        sorted(match.outside),
        fused,
        why_not_fused,
    ), preprocess


def check_fit(match: Match, preprocess: Preprocess, settings: ExtractSettings) -> None:
    """Raise WeightsMismatch where weights of the right names and shapes would still give wrong activations."""
    if match.averaged and settings.weights == "raw":
        raise WeightsMismatch(
            f"only the averaged weights under {match.prefix!r} fit {settings.model}",
            expected="raw weights, as --weights says",
            hint="use --weights ema",
        )
    if match.normaliser and isinstance(preprocess, ResizeCrop):
        inside = match.normaliser
        outside = preprocess.mean, preprocess.std
        if not np.allclose(inside, outside, atol=1e-3):
            shown = [
                ", ".join(" ".join(f"{value:.4g}" for value in values) for values in pair)
                for pair in (inside, outside)
            ]
            raise WeightsMismatch(
                "the checkpoint's network was trained behind another normaliser",
                expected=f"mean and std {shown[0]}, as stored in the checkpoint",
                found=f"{shown[1]} in the preprocessing",
                hint="give --mean and --std",
            )


def _with_match(one: Checkpoint, fit: Fit | None, failure: WeightsMismatch | None) -> Checkpoint:
    """The checkpoint with the number of its tensors that match the network's, and why it does not fit if so."""
    if one.error is not None:
        return one
    if fit is not None:
        return replace(one, prefix=fit.prefix, tensors=fit.tensors, tensors_matched=fit.tensors)
    if failure is None:
        return one
    if failure.total:
        one = replace(one, tensors=failure.total, tensors_matched=failure.matched)
    return one.skipped(failure)


def _warn(found: RunCheckpoints, fits: Mapping[str | None, Fit], weights: str) -> None:
    """Warn, once per run, of what readers of the results should know about how its checkpoints were read."""
    for run in dict.fromkeys(run for run, _ in found):
        own = [one for name, one in found if name == run and one.error is None]
        _warn_of_epochs(run, own)
        _warn_of_averages(run, own, weights)
        _warn_of_unread_tensors(run, sorted({name for one in own for name in fits[one.signature].outside}))


def _warn_of_epochs(run: str, own: Sequence[Checkpoint]) -> None:
    if disagreeing := runs.find_disagreements(own):
        one, in_name = disagreeing[0]
        logger.warning(
            "%s: %d of %d checkpoints store another epoch than their name says (%s: %s inside, %s in its "
            "name); the one inside is used",
            run, len(disagreeing), len(own), one.name, epoch_text(one.epoch or 0), epoch_text(in_name),
        )  # fmt: skip


def _warn_of_averages(run: str, own: Sequence[Checkpoint], weights: str) -> None:
    if own and own[0].weights == "ema" != weights:
        logger.warning(
            "%s: its checkpoints hold only averaged weights (n_averaged and module.*, torch's AveragedModel), "
            "and these are read",
            run,
        )
    elif weights == "raw" and (named := [one.name for one in own if names.averaged_twin(one.name)]):
        logger.warning(
            "%s: the names of %d checkpoints say that their weights are averages (%s); nothing in them does, and they "
            "are read as they are",
            run, len(named), named[0],
        )  # fmt: skip


def _warn_of_unread_tensors(run: str, names: Sequence[str]) -> None:
    if names:
        logger.warning(
            "%s: %s not part of the network and not read: %s",
            run,
            "1 tensor of its checkpoints is"
            if len(names) == 1
            else f"{len(names)} tensors of its checkpoints are",
            ", ".join(names[:3]) + (" ..." if len(names) > 3 else ""),
        )


def _warn_of_defaults(spec: str, found: FoundPreprocess) -> None:
    """Warn of a preprocessing that nobody chose for this network."""
    if found.defaults and spec.startswith("python:"):
        logger.warning(
            "the %s of its pictures %s a guess, since the network says nothing of its own preprocessing: %s. If it was "
            "trained otherwise, its activations are wrong: give --image-size, --mean and --std, or the network an "
            "attribute `preprocess`",
            " and ".join(found.defaults),
            "is" if len(found.defaults) == 1 else "are",
            found.text,
        )


def _warn_of_layers(outputs: Sequence[LayerOutput], pooling: str) -> None:
    """Warn, once per layer, of activations that may not be what a reader takes them for."""
    said = set()
    for output in outputs:
        if output.calls > 1:
            said.add(
                f"layer {output.name} runs {output.calls} times in a forward pass; its last output counts"
            )
        if output.special.unexplained and pooling != "cls":
            said.add(f"layer {output.name}: {output.pooled(pooling)}")
    for line in sorted(said):
        logger.warning("%s", line)
