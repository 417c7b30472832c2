from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cmon.scoring.similarity import room
from cmon.scoring.similarity.blocks import concept_slices, map_blocks
from cmon.scoring.similarity.wpmi import SoftWPMI
from tests.support import unit_vectors


@pytest.mark.parametrize("images", [1, 10_000, 60_000, 10**7])
@pytest.mark.parametrize("concepts", [0, 1, 64, room.LARGEST, 2 * room.LARGEST + 3])
def test_blocks_hold_every_concept_once_and_not_too_much(images: int, concepts: int) -> None:
    slices = concept_slices(images, concepts)
    assert [c for one in slices for c in range(one.start, one.stop)] == list(range(concepts))
    assert all(one.stop - one.start == 64 or (one.stop - one.start) * images <= 2**24 for one in slices[:-1])


def test_what_blocks_share_is_made_on_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the blocks themselves are spread over the cores, one each."""
    images, texts = unit_vectors.draw(30, 40)
    torch_cores: list[int] = []

    def normalizer(*_: object) -> Tensor:
        torch_cores.append(torch.get_num_threads())
        return torch.zeros(30)

    monkeypatch.setattr("cmon.scoring.similarity.probabilities.log_normalizer", normalizer)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        function = SoftWPMI()
        list(map_blocks(lambda _, block: len(block), function.blocks(images, texts), images.device))
    finally:
        torch.set_num_threads(before)
    assert torch_cores == [3]
