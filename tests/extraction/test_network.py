from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from cmon.checkpoints.state_dict import WeightsMismatch
from cmon.errors import CmonError
from cmon.extraction.network import build_network, find_builder, find_preprocess, load_weights
from cmon.images.preprocessing import CustomPreprocess, ResizeCrop
from tests.support import tiny_models

HERE = Path(__file__).parents[1] / "support"


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.fixture
def resnet_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return state(torchvision.models.resnet18(num_classes=7))


# -- building ------------------------------------------------------------------------------------------


def test_torchvision_reads_the_classes_off_the_weights(resnet_state: dict[str, torch.Tensor]) -> None:
    network = build_network("torchvision:resnet18", {}, resnet_state)
    assert network.fc.out_features == 7
    assert not network.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, resnet_state[name]), name


def test_timm_reads_the_classes_off_the_weights() -> None:
    import timm

    weights = state(timm.create_model("resnet10t", pretrained=False, num_classes=4))
    network = build_network("timm:resnet10t", {}, weights)
    assert network.get_classifier().out_features == 4
    assert torch.equal(network.state_dict()["fc.weight"], weights["fc.weight"])


@pytest.mark.parametrize("module", ["tests.support.tiny_models", str(HERE / "tiny_models.py")])
def test_a_users_own_network_is_built_from_a_module_or_a_file(module: str) -> None:
    weights = state(tiny_models.network(9))
    network = build_network(f"python:{module}:network", {"num_classes": 9}, weights)
    assert type(network).__name__ == "Tiny"
    assert torch.equal(network.fc.weight, weights["fc.weight"])


def test_two_files_of_the_same_name_are_two_modules(tmp_path: Path) -> None:
    for folder, width in (("a", 2), ("b", 3)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.py").write_text(
            f"from torch import nn\ndef make():\n    return nn.Linear({width}, 1)\n"
        )
    widths = [find_builder(f"python:{tmp_path / folder}/net.py:make")().in_features for folder in "ab"]
    assert widths == [2, 3]


def test_given_classes_are_not_overruled(resnet_state: dict[str, torch.Tensor]) -> None:
    with pytest.raises(WeightsMismatch, match=r"fc\.weight"):
        build_network("torchvision:resnet18", {"num_classes": 3}, resnet_state)


# -- weights that do not fit ---------------------------------------------------------------------------


def test_weights_of_another_network_say_what_is_wrong() -> None:
    weights = state(tiny_models.network())
    weights["extra.weight"] = torch.ones(1)
    weights["fc.bias"] = torch.ones(2)
    del weights["conv1.bias"]
    with pytest.raises(WeightsMismatch) as caught:
        load_weights(tiny_models.network(), weights, "python:net:make")
    message = str(caught.value)
    assert "4 that match" in message
    assert "1 missing: conv1.bias" in message
    assert "1 unknown: extra.weight" in message
    assert "fc.bias (2,) where python:net:make has (5,)" in message
    assert "--model-arg" in message


def test_a_missing_batch_counter_is_forgiven() -> None:
    """Old checkpoints have none; it changes nothing in eval mode."""
    network = nn.Sequential(nn.BatchNorm2d(3))
    weights = state(network)
    del weights["0.num_batches_tracked"]
    load_weights(network, weights, "x")


def test_weights_of_half_precision_are_loaded() -> None:
    network = tiny_models.network()
    load_weights(network, {name: tensor.half() for name, tensor in state(network).items()}, "x")
    assert network.fc.weight.dtype == torch.float32


# -- specs that name nothing ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("torchvision:resnet81", "did you mean .*'resnet18'"),
        ("timm:resnet10q", "did you mean .*resnet10"),
        ("resnet18", "expected: torchvision:NAME"),
        ("torchvision:", "cannot be understood"),
        ("timm:", "cannot be understood"),
        ("python:tiny_models", "cannot be understood"),
        ("", "cannot be understood"),
        ("python:no_such_module:make", "cannot be imported"),
        ("python::make", "cannot be imported"),
        ("python:.tiny_models:network", "cannot be imported"),
        ("python:no/such/file.py:make", "no such file"),
        ("python:tests.support.tiny_models:netwerk", "did you mean 'network'"),
        ("python:tests.support.tiny_models:COLORS", "no callable 'COLORS'"),
    ],
)
def test_a_spec_that_names_nothing_says_what_it_could_be(spec: str, message: str) -> None:
    with pytest.raises(CmonError, match=f"(?s)--model {spec}.*{message}"):
        build_network(spec, {}, {})


@pytest.mark.parametrize("program", ["def make(:", "import nothing_like_this", "1 / 0", "undefined"])
def test_a_users_module_that_fails_is_told_with_its_error(tmp_path: Path, program: str) -> None:
    (tmp_path / "net.py").write_text(program)
    with pytest.raises(
        CmonError, match=r"cannot be imported\n.*\n.*(Syntax|ModuleNotFound|ZeroDivision|Name)"
    ):
        build_network(f"python:{tmp_path}/net.py:make", {}, {})


def test_a_module_whose_import_failed_can_be_imported_once_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "mended_net.py"
    path.write_text("1 / 0")
    with pytest.raises(CmonError):
        find_builder(f"python:{path}:make")
    path.write_text("from torch import nn\ndef make():\n    return nn.Linear(1, 1)\n")
    assert isinstance(find_builder(f"python:{path}:make")(), nn.Module)


@pytest.mark.parametrize(
    ("spec", "arguments", "message"),
    [
        ("torchvision:resnet18", {"num_clases": 3}, "num_clases=3"),
        ("python:tests.support.tiny_models:network", {"depth": 3}, "depth=3"),
        ("python:tests.support.tiny_models:embedder", {}, "found:    ColorEmbedder"),
    ],
)
def test_a_builder_that_fails_is_told_with_its_arguments(
    spec: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(CmonError, match=f"(?s)--model {spec}.*{message}"):
        build_network(spec, arguments, {})


# -- preprocessing -------------------------------------------------------------------------------------


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
    assert find_preprocess("python:x:y", network, None) is network.preprocess
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
