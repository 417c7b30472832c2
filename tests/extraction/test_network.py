from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from cmon.checkpoints.state_dict import WeightsMismatch
from cmon.errors import CmonError
from cmon.extraction.network import build_network, find_builder, load_weights
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


@pytest.mark.parametrize("channels", [1, 4])
def test_timm_reads_the_channels_off_the_weights(channels: int) -> None:
    import timm

    weights = state(timm.create_model("resnet10t", pretrained=False, num_classes=4, in_chans=channels))
    network = build_network("timm:resnet10t", {}, weights)
    assert torch.equal(network.state_dict()["conv1.0.weight"], weights["conv1.0.weight"])
    with pytest.raises(WeightsMismatch, match=r"conv1\.0\.weight"):  # what is given is not overruled
        build_network("timm:resnet10t", {"in_chans": 3}, weights)


def test_channels_that_torchvision_cannot_have_are_named(resnet_state: dict[str, torch.Tensor]) -> None:
    weights = {**resnet_state, "conv1.weight": torch.zeros(64, 1, 7, 7)}
    with pytest.raises(WeightsMismatch, match=r"pictures of 1 channels.*\n.*python:FILE\.py:FACTORY"):
        build_network("torchvision:resnet18", {}, weights)


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile])
def test_a_wrapped_network_is_read_from_wrapped_and_plain_weights(wrap: Any, tmp_path: Path) -> None:
    (tmp_path / "wrapped_net.py").write_text(
        "import torch\nfrom tests.support.tiny_models import Tiny\n"
        f"make = lambda: torch.{'compile' if wrap is torch.compile else 'nn.DataParallel'}(Tiny())\n"
    )
    spec = f"python:{tmp_path / 'wrapped_net.py'}:make"
    plain = tiny_models.network()
    for weights in (state(plain), state(wrap(plain))):
        network = build_network(spec, {}, weights)
        assert "conv1" in dict(network.named_modules())
        assert torch.equal(network.state_dict()["fc.weight"], plain.fc.weight)


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
@pytest.mark.parametrize("make", ["torch.jit.script(net)", "torch.jit.trace(net, torch.zeros(1, 2))"])
def test_torchscript_is_refused(tmp_path: Path, make: str) -> None:
    (tmp_path / "script_net.py").write_text(
        f"import torch\ndef make():\n    net = torch.nn.Linear(2, 2)\n    return {make}\n"
    )
    with pytest.raises(CmonError, match="gave a TorchScript program"):
        build_network(f"python:{tmp_path}/script_net.py:make", {}, {})


def test_a_network_without_sizes_is_refused_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "lazy_net.py").write_text("from torch import nn\ndef make():\n    return nn.LazyLinear(3)\n")
    with pytest.raises(CmonError, match=r"no sizes before they first run(.|\n)*in the factory"):
        build_network(f"python:{tmp_path}/lazy_net.py:make", {}, {})


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
