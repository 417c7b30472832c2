"""How pictures become a network's input, where that is known from, and that it is never silent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

from cmon.errors import CmonError
from cmon.extraction.network import build_network, find_builder
from cmon.extraction.preprocessing import find_preprocess as find
from cmon.images.preprocessing import CustomPreprocess, Preprocess, ResizeCrop
from tests.support import tiny_models


def find_preprocess(*arguments: object, **more: object) -> Preprocess:
    return find(*arguments, **more).preprocess  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "efficientnet_b3", "swin_t", "inception_v3"])
def test_torchvisions_preprocessing_is_that_of_its_weights(name: str) -> None:
    own = find_preprocess(f"torchvision:{name}", nn.Identity(), None)
    preset = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (3, 9, 12), generator=generator, dtype=torch.uint8)
    image = torchvision.transforms.functional.to_pil_image(coarse).resize((500, 401))
    assert isinstance(own, ResizeCrop)
    torch.testing.assert_close(own.batch(own.pixels(image)[None])[0], preset(image), atol=1e-5, rtol=1e-5)


def test_every_classifier_of_torchvision_has_a_preprocessing() -> None:
    for name in torchvision.models.list_models(module=torchvision.models):
        assert isinstance(find_preprocess(f"torchvision:{name}", nn.Identity(), None), ResizeCrop), name


@pytest.mark.parametrize("name", ["fcn_resnet50", "r3d_18"])
def test_networks_that_do_more_than_classify_are_built_without_a_download(name: str) -> None:
    network = find_builder(f"torchvision:{name}")()
    assert isinstance(find_preprocess(f"torchvision:{name}", network, None), ResizeCrop)


def test_timms_preprocessing_is_that_of_its_configuration() -> None:
    import timm

    network = timm.create_model("resnet10t", pretrained=False)
    own = find_preprocess("timm:resnet10t", network, None)
    config = timm.data.resolve_model_data_config(network)
    assert isinstance(own, ResizeCrop)
    assert (own.crop, own.mean, own.interpolation) == (176, config["mean"], config["interpolation"])
    assert own.resize == int(176 / config["crop_pct"])


def test_a_networks_own_preprocessing_is_used() -> None:
    network = tiny_models.network()
    assert find_preprocess("python:x:y", network, None) == network.preprocess
    network.preprocess = torchvision.transforms.ToTensor()
    assert find_preprocess("python:x:y", network, None) == CustomPreprocess(network.preprocess)
    del network.preprocess
    assert find_preprocess("python:x:y", network, None) == ResizeCrop(256, 224)
    network.preprocess = 3
    with pytest.raises(CmonError, match="cannot be called"):
        find_preprocess("python:x:y", network, None)


def test_the_image_size_changes_the_size_and_nothing_else() -> None:
    own = find_preprocess("torchvision:vit_b_16", nn.Identity(), None)
    small = find_preprocess("torchvision:vit_b_16", nn.Identity(), 64)
    assert isinstance(own, ResizeCrop)
    assert isinstance(small, ResizeCrop)
    assert (small.resize, small.crop) == (64, 64)
    assert (small.mean, small.std, small.interpolation) == (own.mean, own.std, own.interpolation)
    network = tiny_models.network()
    network.preprocess = torchvision.transforms.ToTensor()
    with pytest.raises(CmonError, match=r"its own preprocessing.* --image-size"):
        find_preprocess("python:x:y", network, 64)


def test_given_channels_replace_the_models_own_and_nothing_else() -> None:
    network = build_network("torchvision:resnet18", {}, find_builder("torchvision:resnet18")().state_dict())
    own = find_preprocess("torchvision:resnet18", network)
    given = find_preprocess("torchvision:resnet18", network, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.5))
    assert given.describe() == {**own.describe(), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.5)}
    pixels = np.full((1, 224, 224, 3), 255, np.uint8)
    np.testing.assert_allclose(given.batch(pixels)[0, :, 0, 0], [2.0, 2.0, 1.0], atol=1e-6)


# -- where it is known from ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "given", "said"),
    [
        ("torchvision:resnet18", {}, "from torchvision's ResNet18_Weights.IMAGENET1K_V1"),
        (
            "torchvision:resnet18",
            {"image_size": 64, "mean": (0.5,) * 3},
            "size: --image-size; interpolation, std: torchvision's ResNet18_Weights.IMAGENET1K_V1; mean: --mean",
        ),
        ("timm:resnet10t", {}, "from timm's pretrained_cfg of resnet10t.c3_in1k"),
        ("python:x:y", {}, "from default, as ImageNet's"),
        ("python:x:y", {"image_size": 32, "mean": (0.5,) * 3, "std": (0.5,) * 3},
         "size: --image-size; interpolation: default, as ImageNet's; mean: --mean; std: --std"),
    ],
)  # fmt: skip
def test_the_source_of_each_part_is_said(spec: str, given: dict[str, Any], said: str) -> None:
    builder = find_builder(spec) if not spec.startswith("python") else nn.Identity
    found = find(spec, builder(), **given)
    assert found.text.endswith(said)
    wanted = [part for part in ("size", "mean", "std") if not given.get(part.replace("size", "image_size"))]
    assert found.defaults == (wanted if spec.startswith("python") else [])
    row = found.row()
    assert row["size"] == (f"{given['image_size']}x{given['image_size']}" if given else row["size"])
    assert row["from"] in found.text


def test_a_function_of_the_networks_own_is_said_with_its_parts() -> None:
    network = nn.Identity()
    network.preprocess = torchvision.transforms.Compose(
        [torchvision.transforms.Resize((8, 8)), torchvision.transforms.ToTensor()]
    )
    found = find("python:x:y", network)
    assert found.defaults == []
    assert found.text.startswith("3x8x8 from the factory's `preprocess`: Compose( Resize(size=(8, 8)")
    assert found.row()["mean"] is None


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (lambda image: 1 / 0, "fails\n(.|\n)*ZeroDivisionError"),
        (torchvision.transforms.Compose([torchvision.transforms.RandomCrop(8), torchvision.transforms.ToTensor()]),
         "other values each time"),
    ],
)  # fmt: skip
def test_a_function_that_fails_or_is_random_is_refused(own: Any, message: str) -> None:
    network = nn.Identity()
    network.preprocess = own
    with pytest.raises(CmonError, match=f"its attribute `preprocess`.*{message}"):
        find("python:x:y", network)


def test_timms_squashed_pictures_are_squashed() -> None:
    import timm

    network = timm.create_model(
        "resnet10t", pretrained=False, pretrained_cfg={"crop_mode": "squash", "crop_pct": 1.0}
    )
    own = find_preprocess("timm:resnet10t", network)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 300, 3), np.uint8)).resize(
        (300, 200)
    )
    torch.testing.assert_close(
        own.batch(own.pixels(picture)[None])[0], transform(picture), atol=1e-5, rtol=1e-5
    )
    assert isinstance(own, ResizeCrop)
    plain = ResizeCrop(own.resize, own.crop, own.mean, own.std, own.interpolation)
    assert not np.array_equal(own.pixels(picture), plain.pixels(picture)), "a negative control"
