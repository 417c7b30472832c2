"""Batch norms in convolutions: the same values as the network as it is written, and nothing that is read is touched."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from cmon.extraction.fused import recording
from cmon.extraction.fused.chains import Chain, find_chains
from cmon.extraction.fused.follow import CannotFollow, follow
from cmon.extraction.fused.recording import FusedNetwork, find_fused
from cmon.extraction.layers.output import LayerOutput
from cmon.extraction.layers.recording import record_activations
from cmon.extraction.layers.trace import trace

PICTURES = 3


def trained(network: nn.Module, channels: int = 3, side: int = 32) -> nn.Module:
    """With statistics and weights of batch norms that a folding must not forget."""
    generator = torch.Generator().manual_seed(1)
    network.train()
    with torch.no_grad():
        network(torch.randn(4, channels, side, side, generator=generator))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(-1.5, 1.5, generator=generator)
                module.bias.uniform_(-1, 1, generator=generator)
    return network.eval()


def pictures(side: int = 32, kind: torch.dtype = torch.float32) -> Tensor:
    found = torch.randn(PICTURES, 3, side, side, generator=torch.Generator().manual_seed(2)).to(kind)
    return found.contiguous(memory_format=torch.channels_last)


def describe(network: nn.Module, layers: Sequence[str], batch: Tensor) -> list[LayerOutput]:
    torch.manual_seed(0)
    return trace(network, layers, batch)


def as_written(network: nn.Module, outputs: Sequence[LayerOutput], batch: Tensor) -> dict[str, Tensor]:
    with record_activations(network, outputs, "avg") as record:
        return record(batch)


def as_fused(network: nn.Module, outputs: Sequence[LayerOutput], batch: Tensor) -> dict[str, Tensor]:
    fused = FusedNetwork(network, outputs, outputs, "avg", network.state_dict(), len(batch))
    assert fused.agrees(network, batch) is None
    return fused.record(batch)


def check(network: nn.Module, layers: Sequence[str], side: int = 32) -> list[list[str]]:
    """Compare both ways; gives the modules and functions of each chain that was fused."""
    batch = pictures(side)
    network = network.to(memory_format=torch.channels_last)
    outputs = describe(network, layers, batch)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    expected, found = as_written(network, outputs, batch), as_fused(network, outputs, batch)
    assert list(found) == [output.name for output in outputs]
    for layer, values in expected.items():
        scale = values.abs().max()
        torch.testing.assert_close(found[layer] / scale, values / scale, rtol=0, atol=1e-5)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
    return [names(chain) for chain in find_chains(follow(network, outputs))]


def names(chain: Chain) -> list[str]:
    return [
        str(getattr(node.target, "__name__", node.target)).removeprefix("network.") for node in chain.nodes
    ]


@pytest.mark.parametrize(
    ("name", "layers", "chains", "additions", "one_dnn"),
    [
        ("resnet18", ["layer2", "layer4"], 20, 8, True),
        ("resnet18", ["layer2", "layer4"], 20, 8, False),
        ("densenet121", ["features.transition1", "features.denseblock2.denselayer1.norm1"], 59, 0, True),
        ("mobilenet_v2", ["features.3", "features.5.conv.0.0", "features.17"], 51, 10, True),
        ("mobilenet_v2", ["features.3", "features.17"], 52, 10, False),
        ("efficientnet_b0", ["features.2", "features.7"], 65, 0, True),
    ],
)
def test_networks_of_torchvision_give_what_they_give_as_they_are_written(
    name: str,
    layers: list[str],
    chains: int,
    additions: int,
    one_dnn: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not one_dnn:  # as on a GPU, and on processors that oneDNN does not know
        monkeypatch.setattr(recording, "has_onednn", lambda device, kind: False)
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None)
    fused = check(trained(network), layers)
    assert len(fused) == chains
    assert sum("add" in " ".join(nodes) for nodes in fused) == additions
    if name == "densenet121":  # its batch norms stand before the convolutions; that of the first stays, too
        first = [nodes for nodes in fused if "features.conv0" in nodes]
        assert first == [["features.conv0", "features.norm0", "features.relu0"]]
        assert not any("norm1" in node for nodes in fused for node in nodes)


@pytest.mark.parametrize(("name", "chains"), [("regnetx_002", 44), ("resnet10t", 14)])
def test_networks_of_timm_give_what_they_give_as_they_are_written(name: str, chains: int) -> None:
    """The first has batch norms with their activations in them."""
    torch.manual_seed(0)
    network = timm.create_model(name, pretrained=False)
    layer = "s3" if name == "regnetx_002" else "layer4"
    fused = check(trained(network), [layer])
    assert len(fused) == chains


def test_a_layer_that_is_read_is_no_part_of_a_chain() -> None:
    network = trained(torchvision.models.resnet18())
    fused = check(network, ["layer1.0.conv1", "layer1.0.bn2", "layer1.1.relu", "layer1"])
    inner = {nodes[0]: nodes for nodes in fused}
    assert "layer1.0.conv1" not in inner
    assert inner["layer1.0.conv2"] == ["layer1.0.conv2", "layer1.0.bn2"]  # read, and so the end of its chain
    assert inner["layer1.1.conv1"][-1] == "layer1.1.relu"


class Own(nn.Module):
    """A convolution and a batch norm, in a forward pass that each test gives."""

    def __init__(self, way: Callable[[Own, Tensor], Tensor], **norm: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4, **norm)
        self.relu = nn.ReLU(inplace=True)
        self.out = nn.Identity()
        self.way = way

    def forward(self, batch: Tensor) -> Tensor:
        return self.out(self.way(self, self.first(batch)))


def _twice_used(own: Own, maps: Tensor) -> Tensor:
    convolved = own.conv(maps)
    return own.norm(convolved) + convolved


def _called_twice(own: Own, maps: Tensor) -> Tensor:
    return own.norm(own.conv(own.conv(maps)))


def _input_written_meanwhile(own: Own, maps: Tensor) -> Tensor:
    convolved = own.norm(own.conv(maps))
    return convolved + maps.relu_()


def _writes_into_what_is_added(own: Own, maps: Tensor) -> Tensor:
    kept = maps * 1
    added = kept
    added += own.norm(own.conv(maps))
    return added + kept


def _adds_another_shape(own: Own, maps: Tensor) -> Tensor:
    return own.relu(own.norm(own.conv(maps)) + maps.mean((2, 3), keepdim=True))


def _adds_a_number(own: Own, maps: Tensor) -> Tensor:
    return own.relu(own.norm(own.conv(maps)) + 1.5)


def _result_is_left_lying(own: Own, maps: Tensor) -> Tensor:
    normed = own.norm(own.conv(maps))
    own.relu(normed)
    return normed


def _plain(own: Own, maps: Tensor) -> Tensor:
    return own.relu(own.norm(own.conv(maps)))


CHAIN = ["conv", "norm", "relu"]


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        (_plain, [CHAIN]),
        (_twice_used, []),
        (_called_twice, []),
        (_input_written_meanwhile, [["conv", "norm"]]),
        (_adds_another_shape, [["conv", "norm", "add", "relu"]]),
        (_adds_a_number, [["conv", "norm"]]),
    ],
)
def test_only_what_changes_nothing_is_fused(
    way: Callable[[Own, Tensor], Tensor], expected: list[list[str]]
) -> None:
    torch.manual_seed(0)
    assert check(trained(Own(way)), ["out"]) == expected


def test_what_writes_through_a_second_name_is_found_out() -> None:
    """torch.fx takes `a += b` for `a = a + b`."""
    network, outputs = (
        trained(Own(_writes_into_what_is_added)),
        [LayerOutput("out", (4, 32, 32), "channels first")],
    )
    fused = FusedNetwork(network, outputs, outputs, "avg", network.state_dict(), PICTURES)
    assert fused.agrees(network, pictures()) == "layer out gives other values"


def test_a_result_that_is_left_lying_is_still_written() -> None:
    assert check(trained(Own(_result_is_left_lying)), ["out"]) == [["conv", "norm"]]


def test_batch_norms_that_look_at_the_batch_are_not_folded() -> None:
    batch = pictures()
    without = Own(_plain, track_running_stats=False).eval()
    training = trained(Own(_plain))
    training.norm.train()
    for network in (without, training):
        outputs = [LayerOutput("out", (4, 32, 32), "channels first")]
        assert find_chains(follow(network, outputs)) == []
        torch.testing.assert_close(
            FusedNetwork(network, outputs, outputs, "avg", {}, PICTURES).record(batch)["out"],
            as_written(network, outputs, batch)["out"],
        )


def test_modules_with_hooks_or_made_weights_are_left_alone() -> None:
    seen = []
    hooked = trained(Own(_plain))
    hooked.conv.register_forward_hook(lambda module, inputs, output: seen.append(len(output)) or output * 2)
    assert check(hooked, ["out"]) == []
    assert seen
    made = trained(Own(_plain))
    nn.utils.parametrizations.weight_norm(made.conv)
    assert check(made, ["out"]) == []


def test_values_in_bf16_are_nearer_to_those_in_float32_than_as_written() -> None:
    torch.manual_seed(0)
    exact = trained(torchvision.models.resnet18()).to(memory_format=torch.channels_last)
    rounded = copy.deepcopy(exact).to(torch.bfloat16)
    batch = pictures(64)
    outputs = describe(exact, ["layer1", "layer2", "layer3"], batch)
    expected = as_written(exact, outputs, batch)
    written = as_written(rounded, outputs, batch.bfloat16())
    weights = exact.state_dict()
    fused = FusedNetwork(rounded, outputs, outputs, "avg", weights, len(batch))
    assert fused.agrees(rounded, batch.bfloat16()) is None
    found = fused.record(batch.bfloat16())
    for layer, values in expected.items():
        assert (found[layer] - values).norm() < (written[layer] - values).norm() < 0.05 * values.norm()


class Depends(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, batch: Tensor) -> Tensor:
        maps = self.norm(self.conv(batch))
        return maps if maps.mean() > -1e9 else -maps


class KnowsTensors(Depends):
    """Goes another way for what is no tensor, as when it is followed."""

    def forward(self, batch: Tensor) -> Tensor:
        maps = self.norm(self.conv(batch))
        return maps if isinstance(batch, Tensor) else -maps


def test_a_way_that_depends_on_values_is_not_followed() -> None:
    network, outputs = trained(Depends()), [LayerOutput("norm", (4, 30, 30), "channels first")]
    found, why = find_fused(network, outputs, "cpu")
    assert not found
    assert why is not None
    assert "control flow" in why
    with pytest.raises(CannotFollow):
        FusedNetwork(network, outputs, outputs, "avg", {}, PICTURES)


def test_another_way_than_that_of_tensors_is_found_out() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = KnowsTensors()

        def forward(self, batch: Tensor) -> Tensor:
            return self.inner(batch).relu()

    network, outputs = trained(Outer()), [LayerOutput("inner", (4, 30, 30), "channels first")]
    fused = FusedNetwork(network, outputs, outputs, "avg", network.state_dict(), PICTURES)
    assert fused.agrees(network, pictures()) == "layer inner gives other values"


def test_following_leaves_the_network_as_it_is() -> None:
    class Keeps(Own):
        kept: object = None

        def forward(self, batch: Tensor) -> Tensor:
            self.kept = super().forward(batch)
            return self.kept  # type: ignore[return-value]

    network = Keeps(_plain).eval()
    follow(network, [LayerOutput("out", (4, 32, 32), "channels first")])
    assert network.kept is None


def test_networks_without_batch_norms_and_activations_have_nothing_to_fuse() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 30 * 30, 2)).eval()
    assert find_fused(network, [LayerOutput("2", (2,), "flat")], "cpu") == (False, None)


def test_one_picture_and_other_numbers_than_the_layout_is_for() -> None:
    network = trained(torchvision.models.resnet18()).to(memory_format=torch.channels_last)
    batch = pictures()
    outputs = describe(network, ["layer2"], batch)
    fused = FusedNetwork(network, outputs, outputs, "avg", network.state_dict(), 8)
    whole = fused.record(batch)["layer2"]
    torch.testing.assert_close(fused.record(batch[1:2])["layer2"], whole[1:2])
