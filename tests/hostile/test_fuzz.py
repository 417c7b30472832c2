"""Every parser and table on inputs that hypothesis makes up, for a short time; `make fuzz` does it for an hour."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.hostile.targets import TARGETS, Target


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name.replace(" ", "-"))
def test_it_is_read_or_refused(target: Target) -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(target.inputs)
    def check(given: object) -> None:
        target.check(given)

    check()
