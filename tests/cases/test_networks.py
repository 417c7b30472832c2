"""The networks of the case studies: their widths, their maps, and that `cmon extract` builds the same."""

from __future__ import annotations

import pytest
import torch
from torchvision.models import resnet18

from cmon.extraction.network import build_network
from cmon.extraction.preprocessing import find_preprocess
from cmon.images.preprocessing import ResizeCrop
from scripts.cases.networks import named_network, narrow_resnet18
from scripts.cases.setup import Setup
from scripts.cases.trainer import load_weights

FILE = "python:scripts/cases/networks.py"


@pytest.mark.parametrize(("side", "sides"), [(32, (8, 4, 2)), (64, (8, 4, 2))])
def test_layers_have_half_the_channels_and_a_map(side: int, sides: tuple[int, ...]) -> None:
    network = narrow_resnet18(7, side=side).eval()
    sizes = {}
    for name in ("layer2", "layer3", "layer4"):
        network.get_submodule(name).register_forward_hook(
            lambda _, __, output, name=name: sizes.update({name: tuple(output.shape[1:])})
        )
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, side, side)).shape == (1, 7)
    channels = zip((64, 128, 256), sides, strict=True)
    assert list(sizes.values()) == [(count, one, one) for count, one in channels]


def test_at_full_width_it_is_torchvisions() -> None:
    narrow = narrow_resnet18(1000, width=64).state_dict()
    whole = resnet18().state_dict()
    assert {name: tensor.shape for name, tensor in narrow.items()} == {
        name: tensor.shape for name, tensor in whole.items()
    }


def test_names() -> None:
    assert named_network("narrow-resnet18", 5, 64).fc.in_features == 256
    assert named_network("narrow-resnet18-16", 5, 64).fc.in_features == 128
    named = named_network("resnet18", 5, 48)
    assert (named.fc.in_features, named.fc.out_features) == (512, 5)
    assert named.preprocess == ResizeCrop(48, 48)
    for unknown in ("resnet19", "narrow-resnet18-", "narrow-resnet18-0", "narrow-resnet18-wide"):
        with pytest.raises(ValueError, match=unknown):
            named_network(unknown, 5, 64)


def test_extraction_builds_the_network_that_was_trained(standard: Setup) -> None:
    weights = load_weights(standard.folder("standard", 1), 2)
    arguments = {"name": standard.network, "num_classes": 4, "side": standard.side}
    network = build_network(f"{FILE}:named_network", arguments, weights)
    assert all(torch.equal(weights[name], tensor) for name, tensor in network.state_dict().items())
    found = find_preprocess(f"{FILE}:named_network", network).preprocess
    assert found == ResizeCrop(standard.side, standard.side)
    narrow = build_network(f"{FILE}:narrow_resnet18", {"num_classes": 4, "width": 4, "side": 16}, weights)
    assert all(torch.equal(weights[name], tensor) for name, tensor in narrow.state_dict().items())
