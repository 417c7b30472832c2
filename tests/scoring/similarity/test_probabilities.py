from __future__ import annotations

import numpy as np
import pytest
import torch

from cmon.scoring.similarity import probabilities
from cmon.scoring.similarity.probabilities import log_normalizer, probability_blocks
from cmon.scoring.similarity.room import LARGEST
from tests.support import literal, unit_vectors


@pytest.mark.parametrize("kept", [0, 2**28])
def test_blocks_of_concepts_give_one_softmax(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the blocks' exponentials are left from the first pass or made again."""
    monkeypatch.setattr(probabilities, "_KEPT", kept)
    images, texts = unit_vectors.draw(20, 2 * LARGEST + 3)
    found = torch.cat([make()[0] for _, make in probability_blocks(images, texts, 10.0)], dim=1)
    wanted = literal.probabilities(literal.cosines(images.numpy(), texts.numpy()), 10.0)
    np.testing.assert_allclose(found, wanted, rtol=2e-5)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(20))


@pytest.mark.parametrize("a", [0.0, 2.0, 100.0, 1000.0])
def test_the_normalizer_neither_overflows_nor_underflows(a: float) -> None:
    images, texts = unit_vectors.draw(30, LARGEST + 9)
    s = literal.cosines(images.numpy(), texts.numpy())
    wanted = np.log(np.exp(a * (s - s.max(axis=1, keepdims=True))).sum(axis=1)) + a * s.max(axis=1)
    np.testing.assert_allclose(log_normalizer(images, texts, a), wanted, rtol=1e-5, atol=1e-5 * a)
