"""Tasks on a Ray cluster: the only file that imports Ray, and only once a cluster was asked for.

tasks --a few at a time--> Ray --wait--> outcomes; a worker process or a machine that is lost: Ray runs its tasks again
"""

from __future__ import annotations

import io
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any, TypeVar

from cmon.distributed.runner import Here, answer
from cmon.errors import CmonError, OptionError

logger = logging.getLogger(__name__)

Common = TypeVar("Common")
Task = TypeVar("Task")
Outcome = TypeVar("Outcome")

TRIES = 4
"""How often a task is begun, if the process or the machine that has it goes each time."""
_LOOK_SECONDS = 2.0
"""Between two looks at which machines there are."""
_ANSWER_SECONDS = 10.0
"""Until an address counts as one where nobody listens."""
_WAITING = 2
"""Tasks that wait on the cluster for each that runs: none stands still, and few are to be called back."""


@contextmanager
def connect(address: str, device: str, threads: int, one_folder: bool = True) -> Iterator[RayRunner]:
    """A runner on the cluster at an address as long as the block lasts; its tasks end with the block.

    address: 'auto' for the cluster that this machine is part of, 'local' for one of this machine alone, or the head's
    'HOST:PORT'. A process that is connected already stays so. device: 'auto' takes GPUs if the cluster has any.
    threads: that each task may use; so many processors are asked for. one_folder: whether workers must see the folder
    of this process. Raises CmonError where there is no such cluster.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise OptionError(f"--ray with --device {device}: tasks run on a cpu or on cuda", found=device)
    ray = _import_ray()
    ours = not ray.is_initialized()
    with _without_messages():
        if ours:
            _start(ray, address)
        try:
            yield RayRunner(ray, device, threads, one_folder)
        finally:
            if ours:
                with redirect_stdout(io.StringIO()):  # what it kept back until now
                    ray.shutdown()


class RayRunner:
    """A `Runner` on the cluster to which this process is connected."""

    def __init__(self, ray: Any, device: str, threads: int, one_folder: bool = True) -> None:
        """As for `connect`. Raises CmonError where no machine has what a task needs."""
        self._ray, self._one_folder = ray, one_folder
        self._machines = _Machines(ray)
        gpus = self._machines.largest("GPU")
        self.device = ("cuda" if gpus else "cpu") if device == "auto" else device
        self.threads = threads
        self._needs = {"CPU": threads, "GPU": 1 if self.device == "cuda" else 0}
        for kind, needed in self._needs.items():
            if (most := self._machines.largest(kind)) < needed:
                raise CmonError(
                    f"--ray: no machine of the cluster has what a task needs, {needed} {kind}",
                    expected=f"a machine with {needed} {kind} or more",
                    found=f"{self._machines.count} machines, the largest with {most:g}",
                    hint="set OMP_NUM_THREADS to the processors that a task may use"
                    if kind == "CPU"
                    else "use --device cpu, or start the cluster with --num-gpus",
                )

    @property
    def slots(self) -> int:
        """How many tasks can run at once on the machines that there were at the last look."""
        return max(1, self._machines.slots(self._needs))

    def describe(self, what: str) -> Any:
        return _Counted(what, self._machines)

    def run(
        self, function: Callable[[Common, Task], Outcome], common: Common, tasks: Sequence[Task]
    ) -> Iterator[Outcome]:
        """As `Runner.run` says."""
        ray, waiting = self._ray, list(reversed(tasks))
        here = Here.of_this_process(self.threads, self._one_folder)
        remote = ray.remote(answer).options(
            num_cpus=self._needs["CPU"],
            num_gpus=self._needs["GPU"],
            max_retries=TRIES - 1,
            name=function.__name__,
        )
        sent = ray.put(common)
        running: list[Any] = []
        try:
            while waiting or running:
                self._machines.look()
                while waiting and len(running) < self.slots * (1 + _WAITING):
                    running.append(remote.remote(function, here, sent, waiting.pop()))
                done, running = ray.wait(running, timeout=_LOOK_SECONDS)
                for one in done:
                    yield self._outcome(one)
        finally:
            for one in running:
                with suppress(Exception):  # the cluster may be gone
                    ray.cancel(one, force=True)

    def _outcome(self, reference: Any) -> Any:
        """Raises CmonError where the task did, and where it could not be run."""
        errors = self._ray.exceptions
        try:
            found = self._ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, ImportError):  # of what is sent: the function could not be found there
                raise CmonError(
                    "--ray: a machine of the cluster cannot load cmon",
                    expected="cmon and all that it needs, in the Python that Ray's workers use",
                    found=f"{type(error.cause).__name__}: {error.cause}",
                    hint="install the same versions on all machines",
                ) from error
            raise
        except errors.RayError as error:
            raise CmonError(
                f"--ray: a task was begun {TRIES} times, and its process or machine ended each time",
                found=f"{type(error).__name__}: {str(error).splitlines()[0][:200]}",
                hint="see whether memory is short (`ray status`, `ray summary tasks`; OMP_NUM_THREADS makes fewer and "
                "larger tasks), and run the command again: it goes on from here",
            ) from error
        for text in found.warnings:
            logger.warning("%s", text)
        if found.error is not None:
            raise found.error
        return found.value


class _Machines:
    """Which machines the cluster has, looked at now and then; those that are lost are said."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._alive: dict[str, dict[str, float]] = {}
        self._seen: set[str] = set()
        self._looked = -_LOOK_SECONDS
        self.look()

    @property
    def count(self) -> int:
        return len(self._alive)

    @property
    def lost(self) -> int:
        return len(self._seen) - len(self._alive)

    def look(self) -> None:
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        before = self._alive
        self._alive = {one["NodeID"]: one["Resources"] for one in self._ray.nodes() if one["Alive"]}
        self._seen |= set(self._alive)
        for gone in set(before) - set(self._alive):
            logger.warning(
                "a machine of the cluster is gone (%s), and %d are left; what it had begun is done again",
                gone[:8],
                self.count,
            )

    def largest(self, kind: str) -> float:
        """The most that one machine has of a resource: 'CPU' or 'GPU'."""
        return max((one.get(kind, 0) for one in self._alive.values()), default=0)

    def slots(self, needs: dict[str, int]) -> int:
        """How many tasks with these needs run at once."""
        return sum(
            int(min(one.get(kind, 0) // needed for kind, needed in needs.items() if needed))
            for one in self._alive.values()
        )


class _Counted:
    """A text with the machines that there are when it is shown."""

    def __init__(self, what: str, machines: _Machines) -> None:
        self._what, self._machines = what, machines

    def __str__(self) -> str:
        count, lost = self._machines.count, self._machines.lost
        machines = "1 machine" if count == 1 else f"{count} machines"
        return f"{self._what} on {machines}" + (f", {lost} lost" if lost else "")


def _import_ray() -> Any:
    # Where it has something to say, Ray puts a function of its own in the place of `print`, for the rest of the
    # process; numba, which umap uses, then compiles nothing that prints.
    os.environ.setdefault("RAY_TQDM_PATCH_PRINT", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise CmonError(
            "--ray: Ray is not installed", found=str(error), hint="pip install 'cmon[ray]'"
        ) from error
    return ray


def _start(ray: Any, address: str) -> None:
    """Connect this process. Raises CmonError where there is no cluster, or one of other versions."""
    if "://" in address:
        raise CmonError(
            f"--ray {address}: the command must run on a machine of the cluster, where it sees the workspace",
            expected="auto, local, or HOST:PORT",
            found=address,
            hint="start it on such a machine with --ray auto",
        )
    if address not in ("auto", "local"):
        _require_answer(address)
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # what matters is an error or a warning of ours
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # of a cluster that is started here: it asks nobody
    more: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, **more)
    except Exception as error:  # Ray says in many ways that it cannot be reached
        raise CmonError(
            f"--ray {address}: no cluster that can be used",
            expected="a running cluster of the same versions of Python and Ray; `ray start --head` begins one",
            found=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
            hint="see `ray status`; --ray local uses this machine alone",
        ) from error


def _require_answer(address: str) -> None:
    """Raise CmonError where nothing listens at HOST:PORT: Ray itself would wait for minutes, and say so in C++."""
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdecimal() and int(port) < 1 << 16):
        raise OptionError(
            f"--ray {address}: is no address",
            expected="auto, local, or HOST:PORT, as head:6379",
            found=address,
        )
    try:
        socket.create_connection((host, int(port)), _ANSWER_SECONDS).close()
    except OSError as error:
        raise CmonError(
            f"--ray {address}: nothing answers there",
            expected="the head of a running cluster; `ray start --head --port 6379` begins one",
            found=error.strerror or str(error),
            hint="on a machine of the cluster, --ray auto finds it; --ray local uses this machine alone",
        ) from error


@contextmanager
def _without_messages() -> Iterator[None]:
    """Keep off standard output what Ray's own threads print there: a hundred lines of a machine that is gone.

    Ray has no setting for it (`listen_error_messages` of its 2.60 prints whatever `log_to_driver` is), and standard
    output is for data.
    """
    before = sys.stdout
    sys.stdout = _WithoutRay(before)
    try:
        yield
    finally:
        sys.stdout = before


class _WithoutRay:
    """A text stream that passes on what Ray's threads do not write."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return len(text) if threading.current_thread().name.startswith("ray_") else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
