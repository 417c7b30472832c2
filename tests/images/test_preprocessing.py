from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from cmon.images import preprocessing
from cmon.images.files import find_images
from cmon.images.preprocessing import CustomPreprocess, ResizeCrop
from tests.support.pictures import a_photo


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize(("resize", "crop"), [(64, 56), (32, 32), (25, 24), (65, 64)])
@pytest.mark.parametrize(("width", "height"), [(90, 70), (71, 117), (50, 50), (301, 33), (64, 57)])
def test_resize_crop_is_torchvisions(
    width: int, height: int, resize: int, crop: int, interpolation: str
) -> None:
    image = a_photo(width, height)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    wanted = transforms.Compose(
        [
            transforms.Resize(resize, transforms.InterpolationMode(interpolation)),
            transforms.CenterCrop(crop),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )(image)
    own = ResizeCrop(resize, crop, mean, std, interpolation)
    torch.testing.assert_close(own.batch(own.pixels(image)[None])[0], wanted, atol=2e-6, rtol=1e-5)


def test_every_image_gives_the_same_shape_even_the_narrowest() -> None:
    own = ResizeCrop(24, 24)
    for size in ((1, 1), (1, 500), (500, 1), (23, 24), (2000, 3)):
        assert own.pixels(Image.new("RGB", size, (255, 0, 0))).shape == (24, 24, 3)


def test_a_batch_leaves_the_cached_pixels_as_they_are() -> None:
    own = ResizeCrop(8, 8)
    pixels = np.stack([own.pixels(a_photo(20, 30))] * 2)
    before = pixels.copy()
    batch = own.batch(pixels)
    assert (batch.shape, batch.dtype) == ((2, 3, 8, 8), torch.float32)
    np.testing.assert_array_equal(pixels, before)


def test_a_custom_preprocessing_is_applied_as_it_is() -> None:
    function = transforms.Compose([transforms.Resize((6, 6)), transforms.ToTensor()])
    own = CustomPreprocess(function)
    image = a_photo(20, 30)
    pixels = own.pixels(image)
    assert pixels.dtype == np.float32
    torch.testing.assert_close(own.batch(pixels[None])[0], function(image))


def test_a_preprocessing_tells_all_that_its_result_depends_on() -> None:
    variants = [
        ResizeCrop(256, 224),
        ResizeCrop(240, 224),
        ResizeCrop(256, 200),
        ResizeCrop(256, 224, mean=(0.5, 0.5, 0.5)),
        ResizeCrop(256, 224, std=(0.5, 0.5, 0.5)),
        ResizeCrop(256, 224, interpolation="bicubic"),
        CustomPreprocess(transforms.Resize(4)),
        CustomPreprocess(transforms.Resize(5)),
    ]
    assert len({str(variant.describe()) for variant in variants}) == len(variants)


@pytest.mark.parametrize(("count", "size"), [(0, 4), (1, 4), (8, 4), (9, 4), (3, 1)])
def test_batches_cover_everything_once(count: int, size: int) -> None:
    slices = list(preprocessing.batches(count, size))
    covered = [row for part in slices for row in range(count)[part]]
    assert covered == list(range(count))
    assert all(0 < part.stop - part.start <= size for part in slices)


def test_decoding_in_other_processes_gives_the_same_in_the_same_order(tmp_path: Path) -> None:
    for number in range(7):
        a_photo(30 + number, 40, seed=number).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes(b"broken")
    files, preprocess = find_images(tmp_path), ResizeCrop(16, 16)
    alone = list(preprocessing.decode_all(files, preprocess, 0))
    together = list(preprocessing.decode_all(files, preprocess, 2))
    assert [position for position, *_ in together] == list(range(7))
    for (_, one, error, _), (_, other, other_error, _) in zip(alone, together, strict=True):
        assert error == other_error
        np.testing.assert_array_equal(one, other)
    assert [position for position, array, *_ in together if array is None] == [3]
