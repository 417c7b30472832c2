from __future__ import annotations

from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cmon.top_k import TopK, top_k


def literal(row: list[float], k: int) -> list[tuple[float, int]]:
    """(value, position) of the k largest, equal ones by position."""
    return sorted(((value, position) for position, value in enumerate(row)), key=lambda x: (-x[0], x[1]))[:k]


def pairs(found: TopK) -> list[list[tuple[float, int]]]:
    return [
        list(zip(values, indices, strict=True))
        for values, indices in zip(found.values.tolist(), found.indices.tolist(), strict=True)
    ]


def streamed(values: Tensor, k: int, cuts: list[int]) -> TopK:
    found = TopK.empty(values.shape[0], k)
    edges = [0, *sorted(cut % (values.shape[1] + 1) for cut in cuts), values.shape[1]]
    for start, stop in pairwise(edges):
        found = found.update(values[:, start:stop], start)
    return found


@given(
    st.integers(1, 25).flatmap(
        lambda columns: st.lists(
            st.lists(st.integers(-3, 3).map(float), min_size=columns, max_size=columns),
            min_size=1,
            max_size=4,
        )
    ),
    st.integers(1, 30),
    st.lists(st.integers(0, 1000), max_size=5),
)
def test_streaming_equals_one_pass_equals_sorting(rows: list[list[float]], k: int, cuts: list[int]) -> None:
    values = torch.tensor(rows)
    wanted = [literal(row, k) for row in rows]
    assert pairs(top_k(values, k)) == wanted
    assert pairs(streamed(values, k, cuts)) == wanted


def test_rows_of_negative_values_are_kept() -> None:
    values = -1 - torch.rand(3, 50, generator=torch.Generator().manual_seed(0))
    found = streamed(values, 5, [10, 20])
    assert (found.values < -1).all()
    torch.testing.assert_close(found.values, values.topk(5).values)


def test_of_a_constant_row_the_first_positions_are_kept() -> None:
    found = streamed(torch.full((2, 40), -7.0), 6, [3, 4, 31])
    assert found.indices.tolist() == [list(range(6))] * 2


def test_more_wanted_than_there_are_gives_all_there_are() -> None:
    found = streamed(torch.tensor([[1.0, 3.0, 2.0]]), 10, [1])
    assert found.indices.tolist() == [[1, 2, 0]]
    assert TopK.empty(2, 10).values.shape == (2, 0)


def test_updating_leaves_the_old_one_as_it_was() -> None:
    before = top_k(torch.tensor([[1.0, 2.0]]), 2)
    before.update(torch.tensor([[9.0]]), 2)
    assert before.values.tolist() == [[2.0, 1.0]]


def test_minus_infinity_is_a_value_like_any_other() -> None:
    assert top_k(torch.tensor([[-torch.inf, 1.0, -torch.inf]]), 2).indices.tolist() == [[1, 0]]
