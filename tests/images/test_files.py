from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from cmon.errors import CmonError
from cmon.images import files as images
from cmon.images import preprocessing
from cmon.images.decoding import decode
from cmon.images.files import ImageFile
from cmon.images.preprocessing import CustomPreprocess, Decoder, ResizeCrop

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def decoded(image: Image.Image, path: Path, **options: Any) -> np.ndarray:
    image.save(path, **options)
    found = decode(path)
    assert found.mode == "RGB"
    return np.asarray(found)


def one_color(array: np.ndarray) -> tuple[int, ...]:
    assert (array == array[0, 0]).all()
    return tuple(array[0, 0].tolist())


def a_photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth colours with some detail, so that a wrong filter or a shift shows."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


# -- decoding ------------------------------------------------------------------------------------------


def test_grey_images_have_three_equal_channels(tmp_path: Path) -> None:
    assert one_color(decoded(Image.new("L", (4, 4), 77), tmp_path / "a.png")) == (77, 77, 77)
    assert one_color(decoded(Image.new("1", (4, 4), 1), tmp_path / "b.png")) == WHITE


def test_images_of_16_bits_keep_their_brightness(tmp_path: Path) -> None:
    values = np.full((4, 4), 77 * 257, dtype=np.uint16)
    assert one_color(decoded(Image.fromarray(values), tmp_path / "a.png")) == (77, 77, 77)


def test_palette_images_get_their_colors(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([*RED, *GREEN])
    assert one_color(decoded(image, tmp_path / "a.png")) == GREEN


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    clear, half = Image.new("RGBA", (4, 4), (0, 0, 255, 0)), Image.new("RGBA", (4, 4), (0, 0, 255, 128))
    assert one_color(decoded(clear, tmp_path / "a.png")) == WHITE
    assert one_color(decoded(half, tmp_path / "b.png")) == (127, 127, 255)
    assert one_color(decoded(Image.new("LA", (4, 4), (9, 0)), tmp_path / "c.png")) == WHITE
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([*RED, *GREEN])
    assert one_color(decoded(palette, tmp_path / "d.png", transparency=1)) == WHITE
    assert one_color(decoded(palette, tmp_path / "e.png", transparency=b"\xff\x00")) == WHITE
    assert one_color(decoded(palette, tmp_path / "f.gif", transparency=1)) == WHITE
    assert one_color(decoded(Image.new("RGB", (4, 4), RED), tmp_path / "g.png", transparency=RED)) == WHITE


def test_cmyk_images_get_their_colors(tmp_path: Path) -> None:
    found = decoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), tmp_path / "a.jpg", quality=100)
    assert np.abs(found.astype(int) - RED).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotated_photos_stand_upright(tmp_path: Path, orientation: int) -> None:
    """A camera's orientation says how the stored pixels are to be turned; red is up, green is left of it."""
    upright = Image.new("RGB", (6, 4), WHITE)
    upright.paste(RED, (0, 0, 6, 2))
    upright.paste(GREEN, (0, 0, 3, 2))
    turn = {  # from upright to stored: the inverse of what the orientation asks for
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(decoded(stored, tmp_path / "a.png", exif=exif), np.asarray(upright))


def test_of_an_animation_the_first_picture_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in (RED, GREEN)]
    assert one_color(decoded(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])) == RED


def test_real_photographs_are_all_read(shared: Callable[[str], Path]) -> None:
    files = images.find(shared("photos"))
    grey = 0
    for file in files[::3]:
        assert file.error is None
        pixels = ResizeCrop(64, 64).pixels(decode(file.path))
        assert (pixels.shape, pixels.dtype) == ((64, 64, 3), np.uint8)
        assert pixels.std() > 5, f"{file.name} is of one colour"
        with Image.open(file.path) as stored:
            if stored.mode == "L":
                grey += 1
                assert (pixels == pixels[..., :1]).all()
    assert grey


# -- what cannot be read -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an image, or an empty one"),
        (b"hello", "not an image, or an empty one"),
        (b"<!DOCTYPE html>" * 50, "not an image, or an empty one"),
        ("half of a png", "truncated"),
        ("half of a jpeg", "truncated"),
    ],
)
def test_a_broken_file_gives_one_line_of_reason(tmp_path: Path, content: bytes | str, reason: str) -> None:
    path = tmp_path / "a.png"
    if isinstance(content, str):
        a_photo(200, 150).save(path, format=content.split()[-1])
        content = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(content)
    (file,) = images.find(tmp_path)
    position, array, error = Decoder([file], ResizeCrop(16, 16))[0]
    assert (position, array) == (0, None)
    assert error is not None
    assert reason in error
    assert "\n" not in error


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (300, 300)).save(tmp_path / "a.png")
    for limit in (80_000, 10_000):  # Pillow warns above the limit and fails above twice the limit
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        _, array, error = Decoder(images.find(tmp_path), ResizeCrop(16, 16))[0]
        assert array is None
        assert error is not None
        assert error.startswith("too large to be a photograph")


def test_bytes_changed_at_random_give_an_array_or_a_reason(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / "a"
    outcomes = set()
    for form in ("png", "jpeg", "gif", "webp", "bmp", "tiff"):
        a_photo(60, 40).save(path, format=form)
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(25):
            broken = whole.copy()
            broken[random.integers(0, len(broken), 3)] = random.integers(0, 256, 3)
            path.write_bytes(broken.tobytes())
            _, array, error = Decoder([ImageFile(path, "a", "", None)], ResizeCrop(16, 16))[0]
            assert (array is None) != (error is None)
            assert array is None or array.shape == (16, 16, 3)
            outcomes.add(error is None)
    assert outcomes == {True, False}


def test_decoding_in_other_processes_gives_the_same_in_the_same_order(tmp_path: Path) -> None:
    for number in range(7):
        a_photo(30 + number, 40, seed=number).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes(b"broken")
    files, preprocess = images.find(tmp_path), ResizeCrop(16, 16)
    alone = list(preprocessing.decode_all(files, preprocess, 0))
    together = list(preprocessing.decode_all(files, preprocess, 2))
    assert [position for position, _, _ in together] == list(range(7))
    for (_, one, error), (_, other, other_error) in zip(alone, together, strict=True):
        assert error == other_error
        np.testing.assert_array_equal(one, other)
    assert [position for position, array, _ in together if array is None] == [3]


# -- folders -------------------------------------------------------------------------------------------


def test_a_folder_is_listed_in_natural_order_without_hidden_files(tmp_path: Path) -> None:
    for name in ("img10.png", "img2.png", "b/img1.png", ".DS_Store", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    files = images.find(tmp_path)
    assert [file.name for file in files] == ["b/img1.png", "img2.png", "img10.png", "notes.txt"]
    assert len({file.sha256 for file in files}) == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such folder"),
        (lambda path: path.write_text(""), "holds no image"),
        (lambda path: path.mkdir(), "holds no image"),
    ],
)
def test_a_folder_without_images_says_so(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path / "probe")
    with pytest.raises(CmonError, match=message):
        images.find(tmp_path / "probe")


def test_a_folder_that_may_not_be_read_says_so(
    locked_folder: Path, without_rights: Callable[[], Any]
) -> None:
    with without_rights(), pytest.raises(CmonError, match="Permission denied"):
        images.find(locked_folder)


def test_an_image_that_may_not_be_read_is_skipped_with_the_reason(
    tmp_path: Path, without_rights: Callable[[], Any], locked_folder: Path
) -> None:
    locked_folder.chmod(0o755)
    (locked_folder / "epoch_1.pt").chmod(0)
    with without_rights():
        (file,) = images.find(locked_folder)
    assert file.error == "cannot be read: Permission denied"
    assert Decoder([file], ResizeCrop(8, 8))[0] == (0, None, file.error)


# -- preprocessing -------------------------------------------------------------------------------------


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
        assert own.pixels(Image.new("RGB", size, RED)).shape == (24, 24, 3)


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


@pytest.fixture
def three(tmp_path: Path) -> Path:
    for name in ("a b.png", "ü.png", "c.png"):
        Image.new("RGB", (4, 4), "red").save(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        "c.png\n\na b.png\n  ü.png\nc.png\n",
        "\ufeffc.png\r\na b.png\r\nü.png\r\n",
        'path,object\nc.png,"car;bus"\n"a b.png",\nü.png,dog\n',
        "object,path\ncar,c.png\n,a b.png\n,ü.png\n",
    ],
)
def test_a_list_gives_its_images_in_its_order_and_each_once(three: Path, text: str) -> None:
    (three / "list.txt").write_text(text, encoding="utf-8")
    found = images.find(three / "list.txt")
    assert [file.name for file in found] == ["c.png", "a b.png", "ü.png"]
    assert {file.sha256 for file in found} == {images.find(three)[0].sha256}


def test_a_list_names_what_is_not_there(three: Path) -> None:
    (three / "list.txt").write_text("gone.png\nc.png\n")
    gone, there = images.find(three / "list.txt")
    assert (there.error, gone.error) == (None, "cannot be read: No such file or directory")


def test_a_picture_is_no_list(three: Path) -> None:
    with pytest.raises(CmonError, match="cannot be read as a list of images"):
        images.find(three / "c.png")


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tiff", "gif", "jpg"])
def test_every_common_format_gives_its_colors(tmp_path: Path, suffix: str) -> None:
    Image.new("RGB", (16, 16), (200, 40, 90)).save(tmp_path / f"x.{suffix}")
    np.testing.assert_allclose(np.asarray(decode(tmp_path / f"x.{suffix}"))[8, 8], (200, 40, 90), atol=4)
