"""No hostile input takes more than 300 MB over what the run takes without it, nor hangs."""

from __future__ import annotations

import sys

import pytest

from tests.hostile.measure import MOST_MEMORY, measure

_MOST_SECONDS = 20
"""Of the processor; `python -m tests.hostile.measure` prints how few they are."""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process since a moment")
@pytest.mark.filterwarnings("ignore")
def test_every_refused_input_is_cheap(capsys: pytest.CaptureFixture[str]) -> None:
    costs = list(measure())
    refused = [cost for cost in costs if cost.reason is not None]
    assert len(refused) > 200
    most = max(costs, key=lambda cost: cost.memory)
    with capsys.disabled():
        print(
            f" peak memory of {len(costs)} hostile inputs: {most.memory / 2**20:.0f} MB ({most.bad.what}) ",
            end="",
        )
    assert not [cost for cost in refused if cost.memory > MOST_MEMORY]
    assert not [cost for cost in costs if cost.seconds > _MOST_SECONDS]
