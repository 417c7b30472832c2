"""rank_reorder's errors without sorting each unit's images for each concept: compiled code for the CPU.

All N images are sorted once for a concept. A unit's n top images are then bits at their ranks among the N, and how
many bits are set below one of them is its rank among the n: time that grows with n and N / 64, not with n log n.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cmon.scoring.similarity.table_rows import compiled

_TOGETHER = 2**18
"""Numbers that are sorted at a time, and bytes of units that are compared with one concept after the other: few enough
to stay in the processor's cache."""


def rising_order(values: Tensor) -> Tensor:
    """Positions of (...,n) values in rising order, of equal ones the first: as a stable argsort.

    So an equal pair counts against the concept: of equal cosines, the less activating image comes later.
    """
    if values.device.type != "cpu":
        return values.argsort(dim=-1, stable=True)
    # numpy sorts whole numbers ten times as fast as torch sorts anything: a float's bits order as it does
    # (negative ones backwards), and the position in the lower half makes every number unique.
    bits = (values + 0.0).view(torch.int32)  # + 0.0 turns -0.0 into 0.0
    sortable = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).long() << 32
    sortable |= torch.arange(values.shape[-1])
    found = sortable.numpy()
    found.sort(axis=-1)
    return torch.from_numpy(found & np.int64(0xFFFFFFFF))


def image_ranks(cosines: Tensor) -> Tensor:
    """How many images have a smaller cosine, for each concept: (N,C') on the CPU to (C',N) uint16 or int32."""
    images, concepts = cosines.shape
    ranks = torch.empty(concepts, images, dtype=torch.uint16 if images <= 2**16 else torch.int32)
    step = max(1, _TOGETHER // max(1, images))
    fill, _ = _kernels()
    for some, out in zip(cosines.split(step, dim=1), ranks.split(step), strict=True):
        values = some.T.contiguous()
        fill(values.numpy(), rising_order(values).numpy(), out.numpy())
    return ranks


def mean_errors(ranks: Tensor, top: Tensor, values: Tensor, p: float) -> Tensor:
    """Mean of |t - t'|^p, t a unit's top activations and t' the same in the order of the concept's cosines: (K,C').

    ranks: `image_ranks`. top (K,n) int32: images, the most activating first. values (K,n) float32: their activations,
    falling. Of equal cosines the more activating image counts as the smaller.
    """
    units, count = top.shape
    errors = torch.empty(units, len(ranks))
    _, add = _kernels()
    step = max(1, _TOGETHER // (8 * max(1, count)))
    for start in range(0, units, step):
        part = slice(start, start + step)
        add(ranks.numpy(), top[part].numpy(), values[part].numpy(), float(p), errors[part].numpy())
    return errors


@cache
def _kernels() -> tuple[Callable[..., None], Callable[..., None]]:
    from numba.extending import intrinsic

    set_bits: Any = intrinsic(_set_bits)
    return compiled(_fill_ranks), compiled(_errors_with(set_bits))


def _set_bits(_: Any, word: Any) -> Any:
    """For numba: a word's type, and how its 1s are counted, by one instruction."""
    return word(word), lambda context, builder, signature, arguments: builder.ctpop(arguments[0])


def _fill_ranks(values: Any, order: Any, ranks: Any) -> None:
    """values, order and ranks: (c,N). Equal values have one rank."""
    for concept in range(len(values)):
        own, rising, rank = values[concept], order[concept], ranks[concept]
        first = 0
        for position in range(len(rising)):
            if position and own[rising[position]] != own[rising[position - 1]]:
                first = position
            rank[rising[position]] = first


def _errors_with(set_bits: Callable[[Any], Any]) -> Callable[..., None]:
    """set_bits: how many bits of a word are 1, in one instruction."""

    def mean_error(ranks: Any, top: Any, values: Any, p: float, errors: Any) -> None:
        one, six, last = np.uint64(1), np.uint32(6), np.uint32(63)
        count = top.shape[1]
        bits = np.empty((ranks.shape[1] + 63) // 64, np.uint64)
        below = np.empty(len(bits), np.uint32)
        places = np.empty(count, np.uint32)
        for concept in range(len(ranks)):
            rank = ranks[concept]
            for unit in range(len(top)):
                images, falling = top[unit], values[unit]
                bits[:] = 0
                for r in range(count):
                    place = np.uint32(rank[images[r]])
                    word, bit = place >> six, one << np.uint64(place & last)
                    if bits[word] & bit:  # Images of equal cosines start at one place: the next free one.
                        free = ~bits[word] >> np.uint64(place & last)
                        while free == 0:
                            word += np.uint32(1)
                            place = np.uint32(word << six)
                            free = ~bits[word]
                        place += np.uint32(set_bits((free - one) & ~free))  # zeros below the lowest 1
                        word, bit = place >> six, one << np.uint64(place & last)
                    bits[word] |= bit
                    places[r] = place
                before = np.uint32(0)
                for word in range(len(bits)):
                    below[word] = before
                    before += np.uint32(set_bits(bits[word]))
                error = np.float32(0)
                if p == 3:  # apart from the loop for any p, which cannot be made of vector instructions
                    for r in range(count):
                        place = places[r]
                        word = place >> six
                        lower = set_bits(bits[word] & ((one << np.uint64(place & last)) - one))
                        smaller = below[word] + np.uint32(lower)
                        difference = abs(falling[r] - falling[np.uint32(count - 1) - smaller])
                        error += difference * difference * difference
                else:
                    for r in range(count):
                        place = places[r]
                        word = place >> six
                        lower = set_bits(bits[word] & ((one << np.uint64(place & last)) - one))
                        smaller = below[word] + np.uint32(lower)
                        difference = abs(falling[r] - falling[np.uint32(count - 1) - smaller])
                        error += difference ** np.float32(p)
                errors[unit, concept] = error / np.float32(count)

    return mean_error
