"""Stage 1: from checkpoints and probe images to pooled activations.

checkpoints of every run --inspect--> table `checkpoints`
tables of earlier extractions --> layers and epochs that stay
probe images --decode once--> pixel cache, table `images`
pixels x checkpoint --network, hooks--> activations/RUN/LAYER/EPOCH, listed in table `shards`
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cmon.checkpoints.runs import RunCheckpoints
from cmon.errors import CmonError
from cmon.extraction.activations import UnreadableCheckpoint, run_job
from cmon.extraction.arithmetic import arithmetic
from cmon.extraction.earlier import is_gone, not_read_now, read_earlier, rows_of_gone, way_of
from cmon.extraction.feed import PixelFeed
from cmon.extraction.fitting import FittedRuns, fit_networks
from cmon.extraction.sample import take_samples
from cmon.extraction.settings import ExtractResult, ExtractSettings, Plan
from cmon.extraction.shards import Job, Shard, plan_jobs, plan_shards, select_shards
from cmon.extraction.tables import write_tables
from cmon.extraction.unchanged import describe_request
from cmon.images import pixel_cache
from cmon.images.files import ImageFile, find_images, list_paths
from cmon.images.pixel_cache import Probe
from cmon.images.preprocessing import Preprocess
from cmon.progress import Progress, silent
from cmon.workspace import costs
from cmon.workspace.layer_patterns import match_all
from cmon.workspace.table_files import is_fresh
from cmon.workspace.workspace import Workspace

Failures = dict[tuple[str, str], CmonError]
"""Why checkpoints could not be run, by (run, checkpoint)."""


def extract(
    workspace: Workspace,
    folders: Mapping[str, Path],
    probe_folder: Path,
    settings: ExtractSettings,
    progress: Progress = silent,
) -> ExtractResult:
    """Extract the activations that are missing or stale, and write the tables that list them.

    folders: a folder of checkpoints by the run's name.
    Raises CmonError when a folder, layer or model does not exist, or nothing can be read from it.
    """
    files = find_images(probe_folder)  # first, so that a missing folder is an error at once
    earlier = read_earlier(workspace)
    layers_before = {run: earlier.layers(run, settings) for run in folders}
    more = [layer for layers in layers_before.values() for layer in layers]
    all_layers = replace(settings, layers=tuple(dict.fromkeys([*settings.layers, *more])))
    with arithmetic(settings.precision, settings.device):
        fitted = fit_networks(folders, all_layers, earlier.checkpoints, progress)
    with costs.measured(workspace, "extract", "images x checkpoints") as work:
        probe = pixel_cache.decode_probe(workspace, files, fitted.preprocess, settings.workers, progress)
        traced = [output.name for fit in fitted.used for output in fit.outputs]
        asked, _ = match_all(settings.layers, traced)
        wanted = {run: {*asked, *before} for run, before in layers_before.items()}
        planned = plan_shards(fitted, fitted.checkpoints, wanted, probe.origin, settings)
        stale = [shard for shard in planned if not is_fresh(shard.path(workspace), shard.origin)]
        failures = _run_jobs(
            workspace, plan_jobs(fitted, stale, wanted), probe, fitted.preprocess, settings, work, progress
        )
        others = not_read_now(earlier, fitted.checkpoints)
        kept = [
            shard
            for shard in plan_shards(fitted, others, wanted, probe.origin, settings)
            if is_fresh(shard.path(workspace), shard.origin)
        ]
        with_some = {(shard.run, shard.epoch) for shard in kept}
        others = [(run, one) for run, one in others if (run, one.epoch) in with_some]
        checkpoints = _skip_failed(_with_chosen_before(fitted.checkpoints, others), failures)
        shards = [*select_shards(planned, checkpoints), *kept]
        if not shards:
            raise next(iter(failures.values()))
        parameters = _table_parameters(settings, fitted, probe, files, failures)
        gone = rows_of_gone(earlier, [(run, one) for run, one in others if is_gone(one)])
        write_tables(workspace, earlier, checkpoints, gone, shards, parameters)
    return _summarize(fitted, checkpoints, probe, shards, select_shards(stale, checkpoints))


def _with_chosen_before(found: RunCheckpoints, kept: RunCheckpoints) -> RunCheckpoints:
    """Checkpoints that were not chosen now, but before, count as read."""
    before = {(run, one.name): one for run, one in kept if not is_gone(one)}
    return [(run, before.get((run, one.name), one)) for run, one in found]


def plan(
    folders: Mapping[str, Path],
    probe_folder: Path,
    settings: ExtractSettings,
    progress: Progress = silent,
) -> Plan:
    """What `extract` would read, and what the layers really give; looks at every checkpoint, writes nothing.

    Raises CmonError as `extract` does, and when two checkpoints cannot be run on two pictures.
    """
    files = list_paths(probe_folder)
    with arithmetic(settings.precision, settings.device):
        fitted = fit_networks(folders, settings, (), progress)
        samples = take_samples(fitted, files, settings)
    first = fitted.used[0]
    return Plan(
        checkpoints=fitted.checkpoints,
        outputs=first.outputs,
        refused=first.refused,
        preprocessing=fitted.found_preprocess.row(),
        samples=samples,
        notes=fitted.notes,
        pooling=settings.pooling,
        files=len(files),
    )


def _run_jobs(
    workspace: Workspace,
    jobs: Sequence[Job],
    probe: Probe,
    preprocess: Preprocess,
    settings: ExtractSettings,
    work: costs.Work,
    progress: Progress,
) -> Failures:
    """Run the jobs one after the other and count the images in `work`; a checkpoint that fails is passed over."""
    failures: Failures = {}

    def run_all() -> Iterator[int]:
        if not jobs:
            return
        feed = PixelFeed(probe.pixels, settings.device)
        for job in jobs:
            try:
                yield from run_job(workspace, job, probe, feed, preprocess, settings)
            except (
                UnreadableCheckpoint
            ) as error:  # a training program may remove or rewrite its files meanwhile
                failures[job.run, job.checkpoint.name] = error

    batches = -(-len(probe.image_ids) // settings.batch_size)
    with arithmetic(settings.precision, settings.device):
        for images in progress(run_all(), "extracting activations", len(jobs) * batches):
            work.items += images
    return failures


def _skip_failed(checkpoints: RunCheckpoints, failures: Failures) -> RunCheckpoints:
    return [
        (run, one.skipped(failures[run, one.name]) if (run, one.name) in failures else one)
        for run, one in checkpoints
    ]


def _table_parameters(
    settings: ExtractSettings,
    fitted: FittedRuns,
    probe: Probe,
    files: Sequence[ImageFile],
    failures: Failures,
) -> dict[str, object]:
    """Parameters of the tables `checkpoints` and `shards`."""
    parameters: dict[str, object] = {
        "probe": probe.origin,
        "way": way_of(settings),
        "model": settings.model,
        "layers": settings.layers,
        "pooling": settings.pooling,
        "preprocessing": fitted.found_preprocess.text,
        "notes": fitted.notes,
    }
    if failures:  # a second try may succeed, so it must not find that nothing has changed
        return parameters
    found = [(run, one.name, one.sha256) for run, one in fitted.checkpoints]
    return parameters | describe_request(settings, found, files)


def _summarize(
    fitted: FittedRuns,
    checkpoints: RunCheckpoints,
    probe: Probe,
    shards: Sequence[Shard],
    made: Sequence[Shard],
) -> ExtractResult:
    return ExtractResult(
        checkpoints=sum(one.status == "ok" for _, one in checkpoints),
        skipped_checkpoints=[
            (f"{run}/{one.name}", str(one.error)) for run, one in checkpoints if one.status == "skipped"
        ],
        redundant=sum(one.status == "redundant" for _, one in checkpoints),
        left_out=sum(one.status == "left out" for _, one in checkpoints),
        images=len(probe.image_ids),
        skipped_images=probe.skipped,
        preprocessing=fitted.found_preprocess.text,
        notes=fitted.notes,
        made=len(made),
        reused=len(shards) - len(made),
    )
