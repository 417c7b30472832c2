"""Which digits float32 is multiplied with."""

from __future__ import annotations

import pytest
import torch

from cmon.errors import CmonError
from cmon.extraction.arithmetic import arithmetic


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_tf32_is_only_there_on_cuda(device: str) -> None:
    with pytest.raises(CmonError, match="only CUDA devices"), arithmetic("tf32", device):
        pass


def test_what_was_set_before_is_put_back() -> None:
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    with arithmetic("fp32", "cpu"):
        assert (products.allow_tf32, convolutions.allow_tf32) == (False, False)
    with arithmetic("tf32", "cuda"):
        assert (products.allow_tf32, convolutions.allow_tf32) == (True, True)
    assert (products.allow_tf32, convolutions.allow_tf32) == before
