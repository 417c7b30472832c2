"""A cluster of three machines of one processor each, on this one."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.spread_job import SpreadJob


class Cluster:
    """Ray's own cluster for tests; machines can be lost."""

    def __init__(self) -> None:
        from ray import cluster_utils

        self._size = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80 << 20}
        self._cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=self._size)
        self._others: list[Any] = []

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def fill(self) -> None:
        """Three machines, whatever was lost."""
        while len(self._others) < 2:
            self._others.append(self._cluster.add_node(**self._size))
        self._cluster.wait_for_nodes()

    def lose_one(self) -> None:
        """A machine is gone at once, with the processes on it."""
        self._cluster.remove_node(self._others.pop(), allow_graceful=False)

    def stop(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[Cluster]:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'cmon[ray]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as many as a task may use
    cluster = Cluster()
    yield cluster
    cluster.stop()
    torch.set_num_threads(threads)


@pytest.fixture
def cluster(ray_cluster: Cluster) -> Cluster:
    ray_cluster.fill()
    return ray_cluster


@pytest.fixture
def job(tmp_path: Path, probe_folder: Path) -> SpreadJob:
    made = SpreadJob(tmp_path, probe_folder)
    made.save()
    return made


@pytest.fixture(autouse=True)
def no_warnings_of_ray() -> Iterator[None]:
    """Ray leaves files and sockets open where it is stopped, which is none of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
