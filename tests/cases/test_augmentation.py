"""Augmentation moves and mirrors pictures, and normalisation is what `cmon extract` does."""

from __future__ import annotations

import torch

from cmon.images.preprocessing import ResizeCrop
from scripts.cases.augmentation import augmented, normalized

MOVED = 4


def test_every_picture_is_moved_on_its_own_and_nothing_is_made_up() -> None:
    pixels = torch.randint(1, 256, (64, 3, 32, 32), dtype=torch.uint8)
    found = augmented(pixels, torch.Generator().manual_seed(0), MOVED)
    assert (found.shape, found.dtype) == (pixels.shape, torch.uint8)
    corners = set()
    for picture, moved in zip(pixels, found, strict=True):
        fits = [
            (top, left, flipped)
            for flipped, source in ((False, picture), (True, picture.flip(2)))
            for padded in [torch.nn.functional.pad(source, (MOVED,) * 4)]
            for top in range(2 * MOVED + 1)
            for left in range(2 * MOVED + 1)
            if torch.equal(padded[:, top : top + 32, left : left + 32], moved)
        ]
        assert len(fits) == 1
        corners.add(fits[0])
    assert len(corners) > 40
    assert {flipped for _, _, flipped in corners} == {False, True}


def test_what_is_trained_with_is_normalised_as_in_extraction() -> None:
    pixels = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    expected = ResizeCrop(8, 8).batch(pixels.permute(0, 2, 3, 1).numpy())
    torch.testing.assert_close(normalized(pixels.float() / 255), expected, rtol=0, atol=1e-6)
