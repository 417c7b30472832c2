from __future__ import annotations

import pytest
import torch

from cmon.scoring import block_scores
from cmon.scoring.block_scores import Method, pieces
from cmon.scoring.labelling import label
from cmon.scoring.priors import PRIORS
from cmon.scoring.similarity.registry import SIMILARITIES
from cmon.scoring.similarity.room import Room
from tests.scoring.test_labelling import keep, shown_world


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("most", [1, 5, 7, 100])
@pytest.mark.parametrize("sizes", [[], [3], [5, 5, 5], [1, 20, 1, 2]])
def test_pieces_hold_every_row_once_and_in_order(sizes: list[int], most: int, whole: bool) -> None:
    found = pieces(sizes, most, whole=whole)
    rows = [
        (number, row) for piece in found for number, part in piece for row in range(part.start, part.stop)
    ]
    assert rows == [(number, row) for number, size in enumerate(sizes) for row in range(size)]
    for piece in found:
        count = sum(part.stop - part.start for _, part in piece)
        assert count <= most or (whole and len(piece) == 1)
        if whole:
            assert all((part.start, part.stop) == (0, sizes[number]) for number, part in piece)


@pytest.mark.parametrize("described", [False, True])
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("name", SIMILARITIES)
def test_a_few_units_at_a_time_score_as_all_at_once(
    name: str, prior: str, described: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, texts = shown_world(70)
    generator = torch.Generator().manual_seed(0)
    method = Method(SIMILARITIES[name](), PRIORS[prior], 90)
    layers = [keep(method, images, torch.randn(600, units, generator=generator)) for units in (5, 12, 3)]
    found = []
    for room in (Room(1, 70, 1000), Room(2, 33, 4)):
        monkeypatch.setattr(block_scores, "make_room", lambda *_, room=room: room)
        found.append(label(method, images, texts, layers, described=[described] * 3))
    for at_once, by_few in zip(*found, strict=True):
        torch.testing.assert_close(by_few.scores, at_once.scores, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(by_few.null_best, at_once.null_best, rtol=1e-4, atol=1e-4)
        assert (at_once.moments is not None) == described
        if at_once.moments and by_few.moments:
            torch.testing.assert_close(
                torch.from_numpy(by_few.moments.mean),
                torch.from_numpy(at_once.moments.mean),
                rtol=1e-4,
                atol=1e-3,
            )
