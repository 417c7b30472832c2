"""What `--precision` means on a GPU: torch's defaults multiply float32 with fewer digits in some of its operators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cmon.errors import CmonError


@contextmanager
def arithmetic(precision: str, device: str) -> Iterator[None]:
    """Context in which float32 is multiplied as the precision says: 'tf32' with 10 bits of mantissa, others with 23.

    Raises CmonError for 'tf32' on a device other than a CUDA one, which does not have it.
    """
    if precision == "tf32" and device != "cuda":
        raise CmonError(
            "--precision tf32: only CUDA devices multiply so",
            expected="--device cuda",
            found=f"--device {device}",
            hint="use --precision fp32 or bf16",
        )
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before
