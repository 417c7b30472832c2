"""The four stages as functions: what the commands call, and what a notebook calls.

All have one form: the workspace, the stage's inputs, options by keyword with the commands' defaults, and `progress`.
They raise `CmonError` for what a user can mend, and give a frozen dataclass that says what was done. Each loads
only what it needs: `report` no torch, `extract` none either where nothing has changed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cmon import concepts as concept_lists
from cmon import devices
from cmon.concepts import Concept
from cmon.distributed.parts import Part
from cmon.errors import OptionError, require_known
from cmon.kept_options import keep_dropped, keeps_options
from cmon.progress import Progress, silent
from cmon.storage import copies
from cmon.storage.urls import is_url, local_path
from cmon.workspace.selection import Choice
from cmon.workspace.workspace import Workspace

if TYPE_CHECKING:
    from cmon.distributed.on_ray import RayRunner
    from cmon.embedding.anchors import TextVectors
    from cmon.embedding.stage import EmbedResult
    from cmon.evaluation.agreement import AgreementResult
    from cmon.evaluation.class_names import HeadCheck
    from cmon.extraction.settings import ExtractResult, ExtractSettings, Plan
    from cmon.reporting.stage import ReportResult
    from cmon.scoring.stage import ScoreResult

AnyPath: TypeAlias = "str | os.PathLike[str]"
AnyWorkspace: TypeAlias = "Workspace | AnyPath"
Words: TypeAlias = "AnyPath | Sequence[str | Concept]"
"""A file of concepts, or the concepts themselves."""
Epochs: TypeAlias = "Sequence[float | tuple[float, float]]"
"""Single epochs, or (first, last) with both included; nothing is every epoch."""
_ON_OTHERS_GPU = 128
"""Images at a time on the GPUs of a cluster, where the process that gives the tasks has none: 8 GiB are ample."""


@dataclass(frozen=True)
class Scores:
    """What `score` found."""

    labels: ScoreResult
    """Counts of units by status, over all and for each run, layer and epoch."""
    class_names: HeadCheck | None
    """How near the labels of a classification head are to its classes, for each run, layer and epoch, and what each
    class is called; None without class names."""
    agreement: AgreementResult | None
    """How often labels are what the images are known to show; None without an annotated probing set."""


@keeps_options
def extract(
    workspace: AnyWorkspace,
    runs: Mapping[str, AnyPath],
    probe: AnyPath,
    *,
    model: str,
    layers: Sequence[str],
    epochs: Epochs = (),
    model_arguments: Mapping[str, Any] | None = None,
    weights: str = "raw",
    trust_pickle: bool = False,
    pooling: str = "avg",
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    device: str = "auto",
    precision: str = "fp32",
    batch_size: int | None = None,
    workers: int | None = None,
    finished: Sequence[AnyPath] | None = None,
    ray: str | None = None,
    part: str | None = None,
    progress: Progress = silent,
) -> ExtractResult:
    """Activations of every checkpoint of every run on the probing set, in `activations/RUN/LAYER/EPOCH.parquet`.

    runs: the folder of checkpoints of each run, by the run's name. probe: a folder of images, or a list of their
    paths. Workspace, folders and list may be URLs that fsspec knows (s3://, gs://); of inputs, copies are read.
    model: 'torchvision:NAME', 'timm:NAME' or 'python:MODULE:FACTORY'. layers: names or globs of layers.
    image_size, mean, std: None takes the model's own preprocessing; the result says what that is. epochs: single ones,
    or (first, last) with both included; nothing given is every epoch. batch_size: None takes 8 on a CPU, on a GPU
    what fits.
    workers: processes that decode images; None takes one for each core, at most 8. finished: the only
    checkpoints to read, where others are still being written; None reads all that are there.
    ray: 'auto', 'local' or HOST:PORT, a Ray cluster on whose workers networks run; None runs them here. part: 'I/N',
    the I-th of N shares of the checkpoints, of which activation files are written and no table; once all parts are
    done, the same call without it writes the tables.
    Does only what is missing or stale. Raises CmonError when a folder, layer or model does not exist, or nothing can
    be read from it; a checkpoint or an image that cannot be read alone is skipped, with its reason in the result.
    """
    if not layers:
        raise OptionError("Missing option '--layer'. --dry-run shows the network's layers.")
    place, folders, images = _workspace(workspace), _folders(runs), _input(probe)
    settings = _extract_settings(
        model,
        layers,
        epochs,
        model_arguments,
        weights,
        trust_pickle,
        pooling,
        image_size,
        mean,
        std,
        precision,
        workers,
    )
    if finished is not None:
        settings = replace(settings, finished=frozenset(map(Path, finished)))
    share = _part(part, ray)
    _fetch_probe(images, progress)
    if share is not None:
        from cmon.extraction import stage

        here = _on_device(settings, device, batch_size)
        with place.writing_part("extract", str(share)):
            return stage.extract_part(place, folders, images, here, share, progress)
    _fetch(folders, progress)
    from cmon.extraction.unchanged import find_unchanged

    found = find_unchanged(place, folders, images, settings)
    if found is not None:
        return found
    from cmon.extraction import stage  # and with it torch: two seconds

    with place.writing("extract"), _cluster(ray, device, place) as cluster:
        if cluster is None:
            here = _on_device(settings, device, batch_size)
        else:
            here = _beside_cluster(settings, device, batch_size, cluster.device)
        return stage.extract(place, folders, images, here, progress, cluster)


def plan(
    runs: Mapping[str, AnyPath],
    probe: AnyPath,
    *,
    model: str,
    layers: Sequence[str] = (),
    epochs: Epochs = (),
    model_arguments: Mapping[str, Any] | None = None,
    weights: str = "raw",
    trust_pickle: bool = False,
    pooling: str = "avg",
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    device: str = "auto",
    precision: str = "fp32",
    batch_size: int | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> Plan:
    """What `extract` would read, with the same options: `cmon extract --dry-run`. Writes nothing.

    Two pictures of the probing set run through two checkpoints, the first and the last of a run, so that the plan holds
    real activations of every layer. Without layers, all that can be read are shown, and why others cannot.
    """
    from cmon.extraction import stage

    settings = _extract_settings(
        model,
        layers,
        epochs,
        model_arguments,
        weights,
        trust_pickle,
        pooling,
        image_size,
        mean,
        std,
        precision,
        workers,
    )
    folders, images = _folders(runs), _input(probe)
    _fetch_probe(images, progress)
    _fetch(folders, progress)
    return stage.plan(folders, images, _on_device(settings, device, batch_size), progress)


def drop(workspace: AnyWorkspace, *, runs: Sequence[str] = (), layers: Sequence[str] = ()) -> int:
    """Take runs out of a workspace, or layers of runs; gives how many activation files that were.

    runs: their names. layers: names or patterns, of the runs or, where none is given, of all. What was made from them
    goes when `score` runs next. Raises CmonError for a name that is not there, and where nothing would be left.
    """
    from cmon.extraction import dropping

    if not (runs or layers):
        raise OptionError("Missing option '--run' or '--layer'.")
    place = _workspace(workspace)
    with place.writing("drop"):
        dropped = dropping.drop(place, tuple(runs), tuple(layers))
        keep_dropped(place, layers_too=bool(layers))
    return dropped


@keeps_options
def score(
    workspace: AnyWorkspace,
    concepts: Words,
    *,
    clip: str = "ViT-B-16:openai",
    templates: Sequence[str] = (),
    class_names: AnyPath | Sequence[str] | None = None,
    similarity: str = "soft_wpmi",
    prior: str = "null",
    fdr: float = 0.05,
    baseline: str = "chance",
    top_k: int | None = None,
    pseudo_units: int = 4096,
    truth: AnyPath | None = None,
    images: AnyPath | None = None,
    device: str = "auto",
    precision: str = "fp32",
    batch_size: int | None = None,
    workers: int | None = None,
    seed: int = 0,
    ray: str | None = None,
    part: str | None = None,
    progress: Progress = silent,
) -> Scores:
    """The concept that each unit detects at each epoch, in the tables `units`, `concepts` and `vocabulary`.

    concepts: a concept list, or the concepts. clip: open_clip's 'NAME:PRETRAINED', 'hf-hub:ORG/NAME',
    'local-dir:FOLDER' or 'python:MODULE:FACTORY'. templates: sentences with one '{}' each. class_names: a file with
    the classes of a classification head, one a line, or their names. top_k: None takes the similarity's own. fdr: the
    share of false ones among the units called interpretable. baseline: what these beat, 'chance' or the layer's own
    'first' epoch. truth: CSV that says what the probe images show.
    images: the folder where the probe images are now; None where they were, or where they were seen from the workspace.
    ray, part: as of `extract`; a part is one of the runs and layers, of which it writes the files of `units` and
    `concepts`, and looks neither at class_names nor at truth.
    Raises CmonError when `extract` has not run, or something given cannot be read.
    """
    from cmon.clip.features import Features
    from cmon.evaluation import agreement, annotations
    from cmon.evaluation import class_names as class_name_lists
    from cmon.scoring import stage
    from cmon.scoring.priors import PRIORS
    from cmon.scoring.settings import BASELINES, ScoreSettings
    from cmon.scoring.similarity import registry

    require_known("--similarity", similarity, registry.SIMILARITIES)
    require_known("--prior", prior, PRIORS)
    require_known("--baseline", baseline, BASELINES)
    if baseline == "first" and PRIORS[prior].from_layer:
        raise OptionError(
            f"--baseline first compares scores of two epochs, and those of --prior {prior} cannot be"
        )
    require_known("--precision", precision, devices.PRECISIONS)
    function = registry.create(similarity, top_k)
    share = _part(part, ray)
    place, listed = _workspace(workspace), _concepts(concepts)
    annotated = annotations.read(Path(truth)) if truth is not None else None
    shards = place.frame("shards")  # before a large CLIP is loaded for nothing
    names = _class_names(class_names)
    if names:
        class_name_lists.require_layer(shards, names)
    where = devices.find_device(device if ray is None else _own_device(device))
    features = Features(
        place,
        clip,
        where,
        precision,
        devices.images_at_a_time(batch_size, where),
        _workers(workers),
        _images_folder(images, progress),
    )
    settings = ScoreSettings(
        similarity=function,
        prior=PRIORS[prior],
        templates=tuple(templates),
        fdr=fdr,
        baseline=baseline,
        pseudo_units=pseudo_units,
        seed=seed,
        device=where,
    )

    def text_vectors(texts: Sequence[str]) -> Any:
        return features.concept_vectors(texts, settings.templates).numpy()

    if share is not None:
        with place.writing_part("score", str(share)):
            return Scores(stage.score_part(place, listed, features, settings, share, progress), None, None)
    with place.writing("score"), _cluster(ray, device, place) as cluster:
        labels = stage.score(place, listed, features, settings, progress, cluster)
        return Scores(
            labels,
            class_name_lists.measure(place, names, text_vectors) if names else None,
            agreement.measure(place, annotated, progress) if annotated else None,
        )


@keeps_options
def embed(
    workspace: AnyWorkspace,
    anchors: AnyPath | Sequence[str | Concept] | None = None,
    *,
    layout: str = "umap",
    temperature: float | None = None,
    runs: Sequence[str] = (),
    layers: Sequence[str] = (),
    epochs: Epochs = (),
    refit: bool = False,
    seeds: int = 1,
    device: str = "auto",
    seed: int = 0,
    progress: Progress = silent,
) -> EmbedResult:
    """One plane for all units of all epochs and runs, and the anchors, in the table `layout`.

    anchors: a file of concepts, or files and concepts; None takes the scored objects, parts and scenes, or
    where there are none all concepts with a category.
    temperature: of the layout 'anchored'; None takes its default. runs, layers: names or patterns with *, ? and
    [...], where a layer's * stops at a dot and ** does not; epochs: single ones, or (first, last) with both
    included; nothing given is everything. refit: place all anew; else, where epochs, runs or layers were only added,
    what is placed already stays where it is. seeds: layouts to make, to see how the measures spread; the first is kept.
    Raises CmonError when `score` has not run, there is no anchor, or something chosen is not there.
    """
    from cmon.embedding import stage
    from cmon.embedding.layouts.registry import create_layout

    found = create_layout(layout, **({} if temperature is None else {"temperature": temperature}))
    if temperature is not None and not math.isfinite(temperature):
        raise OptionError(f"--temperature {temperature}: a finite number is needed, for example 0.1")
    place = _workspace(workspace)
    chosen = Choice(tuple(runs), tuple(layers), _ranges(epochs))
    settings = stage.EmbedSettings(found, seed=seed, seeds=seeds, choice=chosen)
    listed = _anchors(anchors)
    with place.writing("embed"):
        return stage.embed(place, listed, _text_vectors(place, device), settings, progress, refit=refit)


@keeps_options
def report(
    workspace: AnyWorkspace,
    *,
    track: Sequence[tuple[str, int]] = (),
    metrics: Mapping[str, AnyPath] | None = None,
    max_html_mb: float = 25,
    images: AnyPath | None = None,
    main_layer: str | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> ReportResult:
    """Tables, figures and a page of what the neurons learned, in the workspace's folder `report`.

    track: (layer, unit) to follow through the epochs; by default three units are chosen, and the report says why.
    metrics: by run, a CSV file of what its training logged. max_html_mb: megabytes up to which the page holds its
    thumbnails. images: as of `score`. main_layer: the layer that headlines, tracked units and the comparison of runs
    are of; None takes the last one, but no classification head. Raises CmonError when an earlier stage has not run or
    its tables do not belong together.
    """
    from cmon.reporting import stage

    logs = tuple((run, Path(path)) for run, path in (metrics or {}).items())
    settings = stage.ReportSettings(
        tuple(track),
        seed,
        metrics=logs,
        max_html_mb=max_html_mb,
        images=_images_folder(images, progress),
        main_layer=main_layer,
    )
    place = _workspace(workspace)
    with place.writing("report"):
        return stage.report(place, settings, progress)


# -- what the options mean -----------------------------------------------------------------------------


def _workspace(given: AnyWorkspace) -> Workspace:
    return given if isinstance(given, Workspace) else Workspace(given)


def _input(given: AnyPath) -> Path:
    """The path of an input; of one in a store, that of its copy, which is yet to be fetched."""
    return copies.path_of(str(given)) if is_url(given) else local_path(given)


def _fetch(folders: Mapping[str, Path], progress: Progress) -> None:
    """Make copies of what lies in a store what is there now."""
    for folder in folders.values():
        copies.refresh(folder, progress)


def _fetch_probe(images: Path, progress: Progress) -> None:
    if copies.url_of(images) is not None:
        from cmon.images import files

        files.fetch(images, progress)


def _images_folder(given: AnyPath | None, progress: Progress) -> Path | None:
    if given is None:
        return None
    found = _input(given)
    copies.refresh(found, progress)
    if not found.is_dir():
        raise OptionError(
            f"--images {given}: there is no such folder", expected="where the probe images are now"
        )
    return found


def _folders(runs: Mapping[str, AnyPath]) -> dict[str, Path]:
    for name in runs:
        if not name.strip() or name in (".", "..") or "/" in name:
            raise OptionError(f"--run {name!r}: a run's name must be text, and no path")
    return {name: _input(folder) for name, folder in runs.items()}


def _extract_settings(
    model: str,
    layers: Sequence[str],
    epochs: Epochs,
    model_arguments: Mapping[str, Any] | None,
    weights: str,
    trust_pickle: bool,
    pooling: str,
    image_size: int | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    precision: str,
    workers: int | None,
) -> ExtractSettings:
    """The settings but for the device, which only torch can tell."""
    from cmon.extraction.settings import POOLINGS, WEIGHTS, ExtractSettings

    require_known("--weights", weights, WEIGHTS)
    require_known("--pooling", pooling, POOLINGS)
    require_known("--precision", precision, devices.NETWORK_PRECISIONS)
    return ExtractSettings(
        model=model,
        layers=tuple(dict.fromkeys(layers)),
        epochs=_ranges(epochs),
        model_arguments=dict(model_arguments or {}),
        weights=weights,
        trust_pickle=trust_pickle,
        pooling=pooling,
        image_size=image_size,
        mean=None if mean is None else tuple(mean),
        std=None if std is None else tuple(std),
        precision=precision,
        workers=_workers(workers),
    )


def _ranges(epochs: Epochs) -> tuple[tuple[float, float], ...]:
    return tuple(one if isinstance(one, tuple) else (one, one) for one in epochs)


def _on_device(settings: ExtractSettings, device: str, batch_size: int | None) -> ExtractSettings:
    where = devices.find_device(device)
    return replace(settings, device=where, batch_size=devices.images_at_a_time(batch_size, where))


def _beside_cluster(
    settings: ExtractSettings, device: str, batch_size: int | None, workers_have: str
) -> ExtractSettings:
    """For the process that gives a cluster its tasks. workers_have: the device of these, for which batches are."""
    where = devices.find_device(_own_device(device))
    if workers_have == where or batch_size is not None:
        size = devices.images_at_a_time(batch_size, where)
    else:  # the memory of another machine's GPU is not known here
        size = devices.images_at_a_time(None, "cpu") if workers_have == "cpu" else _ON_OTHERS_GPU
    return replace(settings, device=where, batch_size=size)


def _own_device(device: str) -> str:
    """The device of the process that gives the tasks: a GPU that workers are to have may be missing here."""
    return "auto" if device == "cuda" else device


@contextmanager
def _cluster(address: str | None, device: str, place: Workspace) -> Iterator[RayRunner | None]:
    """A runner on a Ray cluster as long as the block lasts; None without an address.

    place: where workers write; those of a workspace in a store need not see the folder of this process.
    """
    if address is None:
        yield None
        return
    import torch

    from cmon.distributed import on_ray

    with on_ray.connect(address, device, torch.get_num_threads(), one_folder=not place.is_url) as runner:
        yield runner


def _part(text: str | None, ray: str | None) -> Part | None:
    if text is None:
        return None
    if ray is not None:
        raise OptionError("--part and --ray: either this process does a part, or a cluster does all of it")
    return Part.parse(text)


def _workers(given: int | None) -> int:
    return min(os.cpu_count() or 1, 8) if given is None else given


def _class_names(given: AnyPath | Sequence[str] | None) -> list[str]:
    from cmon.evaluation import class_names

    if isinstance(given, (str, os.PathLike)):
        return class_names.read_names(Path(given))
    return list(given or ())


def _concepts(given: Words) -> list[Concept]:
    if isinstance(given, (str, os.PathLike)):
        return concept_lists.read(Path(given))
    return concept_lists.of_values(given)


def _anchors(given: AnyPath | Sequence[str | Concept] | None) -> list[Concept] | None:
    if given is None:
        return None
    some = [given] if isinstance(given, (str, os.PathLike)) else list(given)
    words = [os.fspath(one) for one in some if not isinstance(one, Concept)]
    return (
        [*(one for one in some if isinstance(one, Concept)), *concept_lists.files_or_words(words)]
        if some
        else None
    )


def _text_vectors(workspace: Workspace, device: str) -> TextVectors:
    """CLIP's vectors of texts, with the model, precision and templates that `score` used; loaded only if asked."""

    def vectors(parameters: Mapping[str, Any], texts: Sequence[str]) -> Any:
        from cmon.clip.features import Features

        where = devices.find_device(device)
        features = Features(workspace, parameters["clip"], where, parameters["precision"], 64, 0)
        return features.concept_vectors(texts, parameters.get("templates", ())).numpy()

    return vectors
