"""Stage 1: from checkpoints and probe images to pooled activations.

checkpoints of every run --inspect--> table `checkpoints`
tables of earlier extractions --> layers and epochs that stay
probe images --decode once--> pixel cache, table `images`
pixels x checkpoint --network, hooks--> activations/RUN/LAYER/EPOCH, listed in table `shards`

The networks run here (on a CPU several beside each other), on the workers of a cluster, or in several programs, each
with its part.
"""

from __future__ import annotations

import re
from collections.abc import Container, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cmon.checkpoints.runs import RunCheckpoints
from cmon.distributed.parts import Part
from cmon.distributed.runner import Runner
from cmon.errors import CmonError, OptionError
from cmon.extraction import pieces, remote
from cmon.extraction.activations import UnreadableCheckpoint, run_job
from cmon.extraction.arithmetic import arithmetic
from cmon.extraction.beside import how_many, run_beside
from cmon.extraction.blocks import BLOCK_BYTES
from cmon.extraction.earlier import Earlier, is_gone, not_read_now, read_earlier, rows_of_gone, way_of
from cmon.extraction.feed import PixelFeed
from cmon.extraction.fitting import FittedRuns, fit_networks
from cmon.extraction.sample import take_samples
from cmon.extraction.settings import ExtractResult, ExtractSettings, Plan
from cmon.extraction.shards import Job, Shard, plan_jobs, plan_shards, select_shards
from cmon.extraction.sharing import countable, counted
from cmon.extraction.tables import write_tables
from cmon.extraction.unchanged import describe_request
from cmon.images import pixel_cache
from cmon.images.files import ImageFile, find_images, list_paths
from cmon.images.pixel_cache import Probe
from cmon.images.preprocessing import Preprocess
from cmon.progress import Progress, silent
from cmon.storage import copies
from cmon.workspace import costs
from cmon.workspace.layer_patterns import match_all
from cmon.workspace.table_files import are_fresh
from cmon.workspace.workspace import Workspace

Failures = dict[tuple[str, str], CmonError]
"""Why checkpoints could not be run, by (run, checkpoint)."""


def extract(
    workspace: Workspace,
    folders: Mapping[str, Path],
    probe_folder: Path,
    settings: ExtractSettings,
    progress: Progress = silent,
    runner: Runner | None = None,
) -> ExtractResult:
    """Extract the activations that are missing or stale, and write the tables that list them.

    folders: a folder of checkpoints by the run's name. runner: of a cluster; None runs networks in this process.
    Raises CmonError when a folder, layer or model does not exist, or nothing can be read from it.
    """
    files = find_images(probe_folder)  # first, so that a missing folder is an error at once
    fitted = _Fitted.of(workspace, folders, settings, progress)
    with costs.measured(workspace, "extract", "images x checkpoints") as work:
        probe = pixel_cache.decode_probe(workspace, files, fitted.preprocess, settings.workers, progress)
        planned = _Planned.of(workspace, fitted, probe, settings)
        if runner is None:  # a cluster goes on with what another one left
            pieces.remove_all_but(workspace, ())
        failures = _run_jobs(workspace, planned.jobs, fitted, probe, settings, runner, work, progress)
        runs, wanted = fitted.runs, planned.wanted
        others = not_read_now(fitted.earlier, runs.checkpoints)
        before = plan_shards(runs.fits, others, wanted, probe.origin, settings)
        kept = [shard for shard, fresh in zip(before, _are_fresh(workspace, before), strict=True) if fresh]
        with_some = {(shard.run, shard.epoch) for shard in kept}
        others = [(run, one) for run, one in others if (run, one.epoch) in with_some]
        checkpoints = _skip_failed(_with_chosen_before(runs.checkpoints, others), failures)
        shards = [*select_shards(planned.shards, checkpoints), *kept]
        if not shards:
            raise next(iter(failures.values()))
        parameters = _table_parameters(settings, runs, probe, files, failures)
        gone = rows_of_gone(fitted.earlier, [(run, one) for run, one in others if is_gone(one)])
        write_tables(workspace, fitted.earlier, checkpoints, gone, shards, parameters)
    return _summarize(runs, checkpoints, probe, shards, select_shards(planned.stale, checkpoints))


def extract_part(
    workspace: Workspace,
    folders: Mapping[str, Path],
    probe_folder: Path,
    settings: ExtractSettings,
    part: Part,
    progress: Progress = silent,
) -> ExtractResult:
    """Extract what is missing or stale of a share of all checkpoints, and write no table; counts are of the share.

    Beside other parts, in other processes. Only runs that the share has checkpoints of are looked at, and of these
    all: what a file's epoch is, and which of two files gives it, shows only among all of a run.
    Raises CmonError as `extract` does.
    """
    files = find_images(probe_folder)
    own = set(part.choose([(run, path) for run in folders for path in countable(folders[run])]))
    touched = {run: folder for run, folder in folders.items() if any(name == run for name, _ in own)}
    if not touched:
        return ExtractResult.of_nothing()
    for folder in touched.values():
        copies.refresh(folder, progress)
    fitted = _Fitted.of(workspace, touched, settings, progress)
    _require_stable(fitted.preprocess)
    probe = pixel_cache.decode_part(workspace, files, fitted.preprocess, settings.workers, progress)
    planned = _Planned.of(workspace, fitted, probe, settings)
    jobs = [job for job in planned.jobs if (job.run, counted(job.checkpoint.path)) in own]
    work = costs.Work("images x checkpoints")  # of one part, which says little of the whole
    failures = _run_jobs(workspace, jobs, fitted, probe, settings, None, work, progress)
    checkpoints = _skip_failed(
        [(run, one) for run, one in fitted.runs.checkpoints if (run, counted(one.path)) in own], failures
    )
    shards = select_shards(planned.shards, checkpoints)
    return _summarize(fitted.runs, checkpoints, probe, shards, select_shards(planned.stale, checkpoints))


@dataclass(frozen=True)
class _Fitted:
    """The networks that the checkpoints fit, and what earlier extractions left."""

    earlier: Earlier
    before: Mapping[str, Sequence[str]]
    """The layers that each run has already."""
    runs: FittedRuns
    traced: ExtractSettings
    """The settings with which networks were traced: with the layers that are there, too."""

    @classmethod
    def of(
        cls, workspace: Workspace, folders: Mapping[str, Path], settings: ExtractSettings, progress: Progress
    ) -> _Fitted:
        earlier = read_earlier(workspace)
        before = {run: earlier.layers(run, settings) for run in folders}
        more = [layer for layers in before.values() for layer in layers]
        traced = replace(settings, layers=tuple(dict.fromkeys([*settings.layers, *more])))
        with arithmetic(settings.precision, settings.device):
            runs = fit_networks(folders, traced, earlier.checkpoints, progress)
        return cls(earlier, before, runs, traced)

    @property
    def preprocess(self) -> Preprocess:
        return self.runs.preprocess


@dataclass(frozen=True)
class _Planned:
    """The activation files of the checkpoints that are read."""

    wanted: Mapping[str, Container[str]]
    """The layers of each run."""
    shards: Sequence[Shard]
    stale: Sequence[Shard]
    """Those of them that are missing, or of something else."""
    jobs: Sequence[Job]

    @classmethod
    def of(cls, workspace: Workspace, fitted: _Fitted, probe: Probe, settings: ExtractSettings) -> _Planned:
        runs = fitted.runs
        found = [output.name for fit in runs.used for output in fit.outputs]
        asked, _ = match_all(settings.layers, found)
        wanted = {run: {*asked, *before} for run, before in fitted.before.items()}
        shards = plan_shards(runs.fits, runs.checkpoints, wanted, probe.origin, settings)
        fresh = _are_fresh(workspace, shards)
        stale = [shard for shard, is_fresh in zip(shards, fresh, strict=True) if not is_fresh]
        return cls(wanted, shards, stale, plan_jobs(runs, stale, wanted))


def _are_fresh(workspace: Workspace, shards: Sequence[Shard]) -> list[bool]:
    return are_fresh([(shard.path(workspace), shard.origin) for shard in shards])


def _require_stable(preprocess: Preprocess) -> None:
    """Raise CmonError where no process can know that another one prepares images as it does."""
    said = str(preprocess.describe().get("custom", ""))
    if re.search(r" at 0x[0-9a-f]+", said):
        raise OptionError(
            "--part: the network's own function `preprocess` is another one in each process, as far as can be told",
            expected="a ResizeCrop, a transform of torchvision, or any object whose repr says all that it does",
            found=said,
            hint="leave out --part, or use --ray",
        )


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
    fitted: _Fitted,
    probe: Probe,
    settings: ExtractSettings,
    runner: Runner | None,
    work: costs.Work,
    progress: Progress,
) -> Failures:
    """Run the jobs and count the images in `work`; a checkpoint that fails is passed over."""
    if runner is not None:
        return remote.run_jobs(workspace, jobs, fitted.runs, probe, fitted.traced, runner, work, progress)
    failures: Failures = {}
    count = how_many(jobs, settings.device)

    def run_all() -> Iterator[int]:
        if not jobs:
            return
        feed = PixelFeed(probe.pixels, settings.device)

        def run_one(job: Job) -> Generator[int, None, None]:
            try:
                yield from run_job(
                    workspace, job, probe, feed, fitted.preprocess, settings, BLOCK_BYTES // count
                )
            except (
                UnreadableCheckpoint
            ) as error:  # a training program may remove or rewrite its files meanwhile
                failures[job.run, job.checkpoint.name] = error

        if count > 1:
            yield from run_beside(jobs, run_one, count)
        else:
            for job in jobs:
                yield from run_one(job)

    batches = -(-len(probe.image_ids) // settings.batch_size)
    with arithmetic(settings.precision, settings.device):
        for images in progress(run_all(), "extracting activations", len(jobs) * batches):
            work.items += images
    names = [(job.run, job.checkpoint.name) for job in jobs]
    return {name: failures[name] for name in names if name in failures}


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
