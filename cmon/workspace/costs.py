"""What a stage cost: wall time, throughput, peak memory, bytes written. One row per stage."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from cmon.workspace import schemas
from cmon.workspace.files import digest
from cmon.workspace.table_files import read_table
from cmon.workspace.workspace import Workspace


@dataclass
class Work:
    """How much was done, counted by the stage while it runs."""

    item: str
    items: int = 0


@contextmanager
def measured(workspace: Workspace, stage: str, item: str) -> Iterator[Work]:
    """Time a block and record it in the table `costs`, unless it did nothing (then the old row stays)."""
    work = Work(item)
    start, written = time.perf_counter(), workspace.written_bytes
    yield work
    if work.items == 0:
        return
    seconds = time.perf_counter() - start
    row = {
        "stage": stage,
        "seconds": seconds,
        "items": work.items,
        "item": item,
        "items_per_second": work.items / seconds,
        "peak_memory_mb": peak_memory_mb(),
        "written_mb": (workspace.written_bytes - written) / 1e6,
    }
    path = workspace.table("costs")
    others = [old for old in read_table(path).to_pylist() if old["stage"] != stage] if path.is_file() else []
    table = pa.Table.from_pylist([*others, row], schema=schemas.COSTS)
    workspace.write(path, table, digest("costs", stage, seconds))


def peak_memory_mb() -> float:
    """Largest resident size of this process so far, in MB (10^6 bytes)."""
    if sys.platform == "win32":  # which has no `resource`; elsewhere psutil knows no peak
        import psutil

        return psutil.Process().memory_info().peak_wset / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6  # Linux counts kilobytes
