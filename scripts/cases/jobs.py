"""Commands that run beside each other, each as soon as what it needs is done."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

POLL = 0.2
"""Seconds."""


@dataclass(frozen=True)
class Job:
    """A Python program of this repository."""

    name: str
    words: tuple[str, ...]
    """Module and arguments."""
    needs: frozenset[str] = frozenset()
    """Names of jobs that must be done before."""


def run_jobs(
    jobs: Sequence[Job], done: Collection[str], at_once: int, folder: Path, environment: Mapping[str, str]
) -> None:
    """Run all, each shown as it would be typed, at most `at_once` beside each other, in the order given.

    done: names of jobs that were done before.
    Raises SystemExit with a job's exit code when one fails; the others are ended. They can go on another time.
    """
    finished, waiting = set(done), list(jobs)
    running: dict[subprocess.Popen[bytes], Job] = {}
    try:
        while waiting or running:
            for job in [job for job in waiting if job.needs <= finished][: at_once - len(running)]:
                click.echo(f"\n$ {shlex.join(['python', '-m', *job.words])}", err=True)
                process = subprocess.Popen(
                    [sys.executable, "-m", *job.words], cwd=folder, env=dict(environment)
                )
                running[process] = job
                waiting.remove(job)
            if not running:
                missing = ", ".join(sorted(set[str]().union(*(job.needs for job in waiting)) - finished))
                raise ValueError(f"nobody makes {missing}")
            time.sleep(POLL)
            for process in [process for process in running if process.poll() is not None]:
                job = running.pop(process)
                if process.returncode:
                    click.echo(f"{job.name} failed", err=True)
                    raise SystemExit(process.returncode)
                finished.add(job.name)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
