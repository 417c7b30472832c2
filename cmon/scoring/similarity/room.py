"""How much of a pass over the concepts is under way at a time, so that its memory does not grow with cores or units.

Under way on every core is a block of concepts (cosines of all images), the evidence of all pseudo-units for it, and
evidence and scores of some of the units. The more cores there are, the narrower are the blocks and the fewer the units.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

LARGEST = 640
"""Concepts in a block, at most. (Of rows of more than 64 k numbers, and ten concepts are kept, torch's topk takes the k
largest twice as fast.)"""
_COSINES = 2**24
"""Cosines in a block, if that leaves it 64 concepts."""
_NARROWEST = 32
"""Concepts in a block where there are many cores: before blocks become narrower, cores are left idle."""
IN_FLIGHT = 3 * 2**29
"""Bytes that all cores together hold of what is under way, if one block at its narrowest does not need more."""
_LARGEST_ON_DEVICE, _COSINES_ON_DEVICE, IN_FLIGHT_ON_DEVICE = 4096, 2**28, 2**32
"""The same where one block after the other is worked on, by all of a device: larger, as every call has its price."""
_OF_IMAGES, _OF_PSEUDO_UNITS, _OF_UNITS = 2, 3, 4
"""How many numbers are held at the same time for each image, pseudo-unit and unit, and each concept of a block."""
_NUMBER = 4
"""Bytes of a float32."""


@dataclass(frozen=True)
class Room:
    """What may be under way at a time."""

    workers: int
    """Blocks that are worked on at a time; one more may wait to be taken."""
    width: int
    """Concepts in a block."""
    units: int
    """Whose evidence a worker holds at a time."""

    def nbytes(self, images: int, pseudo_units: int) -> int:
        """Bytes of all that is under way, at most."""
        rows = _OF_IMAGES * images + _OF_PSEUDO_UNITS * pseudo_units + _OF_UNITS * self.units
        return (self.workers + 1) * _NUMBER * self.width * rows


def make_room(images: int, pseudo_units: int, device: torch.device, least: int = 1) -> Room:
    """pseudo_units: whose evidence is held with every block. least: units that must be scored together, at least 1.

    For the CPU the cores are those that torch uses now.
    """
    if device.type == "cpu":
        return plan_room(images, pseudo_units, torch.get_num_threads(), least)
    width = min(_LARGEST_ON_DEVICE, max(64, _COSINES_ON_DEVICE // max(1, images)))
    fixed = _OF_IMAGES * images + _OF_PSEUDO_UNITS * pseudo_units
    units = (IN_FLIGHT_ON_DEVICE // (_NUMBER * width) - fixed) // _OF_UNITS
    return Room(1, width, max(least, 1024, units))


def plan_room(images: int, pseudo_units: int, cores: int, least: int = 1) -> Room:
    """`make_room` for a CPU of so many cores.

    Of `least` only the number of workers depends, and not the width: a product of matrices of another shape may round
    otherwise, and a unit's scores are not to depend on the units beside it.
    """
    fixed = _OF_IMAGES * images + _OF_PSEUDO_UNITS * pseudo_units
    numbers = IN_FLIGHT // _NUMBER
    half = numbers // (cores + 1) // 2  # the other half is for the units
    width = min(default_width(images), max(_NARROWEST, half // max(1, fixed)))
    workers = max(1, min(cores, numbers // (width * (fixed + _OF_UNITS * least)) - 1))
    return Room(workers, width, max(least, (numbers // (workers + 1) // width - fixed) // _OF_UNITS))


def default_width(images: int) -> int:
    """Concepts in a block on few cores."""
    return min(LARGEST, max(64, _COSINES // max(1, images)))
