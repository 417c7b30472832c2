"""Shares of a list: all of it once, whatever their number."""

from __future__ import annotations

import pytest

from cmon.distributed.parts import Part
from cmon.errors import OptionError


@pytest.mark.parametrize("count", [0, 1, 2, 7, 12])
@pytest.mark.parametrize("of", [1, 2, 3, 12, 20])
def test_all_shares_together_are_the_list_in_its_order(count: int, of: int) -> None:
    shares = [Part(number, of).choose(range(count)) for number in range(1, of + 1)]
    assert [item for share in shares for item in share] == list(range(count))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_a_share_is_read_and_written_as_it_is_given() -> None:
    assert Part.parse(" 3/100 ") == Part(3, 100)
    assert str(Part(3, 100)) == "3/100"


@pytest.mark.parametrize(
    "text", ["", "3", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "a/b", "1.5/4", "1/99999999999"]
)
def test_what_is_no_share_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(OptionError, match="for example 3/100"):
        Part.parse(text)
