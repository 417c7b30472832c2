"""Fuzzes every target of `targets` in turn until the time is over: python -m tests.hostile.fuzz --seconds 3600

Ends with 1, and the smallest input that fails, at the first finding. It never uses more than one core.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import itertools
import sys
import time

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from tests.hostile.targets import TARGETS, Target

_HANGS = 300
"""Seconds after which one input counts as one that is never done; the traceback then says where."""
_AT_ONCE = 200


def run(target: Target, start: int, counts: collections.Counter[str]) -> None:
    """Try some inputs on a target. Raises what the target raises."""

    @seed(start)
    @settings(
        max_examples=_AT_ONCE,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.reuse, Phase.generate, Phase.shrink),
        database=DirectoryBasedExampleDatabase(".hypothesis/fuzz"),
        print_blob=True,
    )
    @given(target.inputs)
    def check(given: object) -> None:
        counts[target.name] += 1
        faulthandler.dump_traceback_later(_HANGS, exit=True)
        target.check(given)

    check()
    faulthandler.cancel_dump_traceback_later()


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz every parser and table.")
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--target", help="only those whose name begins so")
    parser.add_argument("--go-on", action="store_true", help="after a finding, with the other targets")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [target for target in TARGETS if target.name.startswith(options.target or "")]
    counts: collections.Counter[str] = collections.Counter()
    failed: list[str] = []
    end = time.monotonic() + options.seconds
    for start in itertools.count(int(time.time())):
        for target in [one for one in chosen if one.name not in failed]:
            if time.monotonic() > end or len(failed) == len(chosen):
                break
            try:
                run(target, start, counts)
            except Exception:
                sys.excepthook(*sys.exc_info())
                print(f"FINDING in {target.name}", flush=True)
                failed.append(target.name)
                if not options.go_on:
                    end = 0
        else:
            continue
        break
    for name, count in counts.items():
        print(f"{count:8,} inputs  {name}" + ("  FAILED" if name in failed else ""))
    print(f"{sum(counts.values()):8,} inputs, {len(failed)} findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
