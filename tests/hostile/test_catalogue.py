"""Every hostile input costs one row or one error, with its reason; none runs, hangs or fills the memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.catalogue import CATALOGUE, Bad
from tests.hostile.making import CANARY
from tests.hostile.trying import read, write


def test_the_catalogue_has_all_kinds_and_each_once() -> None:
    assert len(CATALOGUE) >= 120
    names = [(bad.kind, bad.what) for bad in CATALOGUE]
    assert len(set(names)) == len(names)


@pytest.mark.filterwarnings("ignore")  # torch warns of how hostile tensors are made
@pytest.mark.parametrize("bad", CATALOGUE, ids=lambda bad: f"{bad.kind}: {bad.what}".replace(" ", "-"))
def test_it_is_refused_with_its_reason_or_read_without_harm(bad: Bad, tmp_path: Path) -> None:
    place = write(bad, tmp_path)
    reason = read(bad, place)
    if bad.says:
        assert reason is not None
        assert bad.says in reason
        assert "\n" not in reason
    else:
        assert reason is None
    assert not (tmp_path / CANARY).exists()
