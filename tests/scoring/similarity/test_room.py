"""How much memory a pass over the concepts may take, on any number of cores."""

from __future__ import annotations

import pytest
import torch

from cmon.scoring.similarity import room
from cmon.scoring.similarity.room import make_room, plan_room

LARGEST_LAYER = 26_560
PSEUDO_UNITS = 4096


@pytest.mark.parametrize("cores", [1, 2, 8, 64, 256])
@pytest.mark.parametrize("images", [1, 1000, 10_000, 60_000, 250_000])
@pytest.mark.parametrize("least", [1, 4000, LARGEST_LAYER])
def test_what_is_under_way_stays_within_its_bytes_on_any_number_of_cores(
    cores: int, images: int, least: int
) -> None:
    found = plan_room(images, PSEUDO_UNITS, cores, least)
    assert found.nbytes(images, PSEUDO_UNITS) <= room.IN_FLIGHT
    assert found.units >= least
    assert 1 <= found.workers <= cores


@pytest.mark.parametrize("cores", [1, 2, 8])
@pytest.mark.parametrize("images", [1000, 10_000, 60_000])
def test_few_cores_all_work_at_blocks_of_many_concepts(cores: int, images: int) -> None:
    found = plan_room(images, PSEUDO_UNITS, cores)
    assert found.workers == cores
    assert found.width >= min(128, room.default_width(images))
    assert found.units >= 4000


def test_on_two_cores_blocks_are_as_wide_as_without_a_limit() -> None:
    for images in (1000, 10_000, 60_000):
        assert plan_room(images, PSEUDO_UNITS, 2).width == room.default_width(images)


def test_many_cores_take_narrower_blocks_before_they_idle() -> None:
    few, many = plan_room(60_000, PSEUDO_UNITS, 8), plan_room(60_000, PSEUDO_UNITS, 64)
    assert many.width < few.width
    assert many.workers == 64


def test_how_wide_blocks_are_does_not_depend_on_the_units() -> None:
    for cores in (1, 8, 64):
        widths = {plan_room(10_000, PSEUDO_UNITS, cores, least).width for least in (1, 4000, LARGEST_LAYER)}
        assert len(widths) == 1


def test_what_must_be_held_at_once_is_held_by_one_core_at_least() -> None:
    found = plan_room(10**8, PSEUDO_UNITS, 8)
    assert (found.workers, found.units >= 1) == (1, True)


def test_a_device_takes_larger_blocks_one_at_a_time() -> None:
    on_cpu, on_device = (
        plan_room(60_000, PSEUDO_UNITS, 8),
        make_room(60_000, PSEUDO_UNITS, torch.device("meta")),
    )
    assert on_device.workers == 1
    assert on_device.width > 10 * on_cpu.width
    assert on_device.nbytes(60_000, PSEUDO_UNITS) <= 2 * room.IN_FLIGHT_ON_DEVICE


def test_cores_are_those_that_torch_uses() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert make_room(1000, 0, torch.device("cpu")) == plan_room(1000, 0, 3)
    finally:
        torch.set_num_threads(before)
