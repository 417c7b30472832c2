from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import ConvNeXt, SwinTransformer, VisionTransformer
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.resnet import BasicBlock, ResNet

from cmon.errors import CmonError
from cmon.extraction.layers.output import LayerOutput, pool
from cmon.extraction.layers.recording import record_activations
from cmon.extraction.layers.trace import match_layers, trace
from tests.support import tiny_models


def images(count: int = 3, side: int = 32) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def captured(network: nn.Module, layer: str, batch: Tensor) -> Tensor:
    """The layer's last output, by a hook of the test's own."""
    kept: list[Tensor] = []
    handle = network.get_submodule(layer).register_forward_hook(lambda _m, _i, output: kept.append(output))
    with torch.inference_mode():
        network(batch)
    handle.remove()
    return kept[-1]


def pooled(network: nn.Module, layer: str, batch: Tensor, pooling: str = "avg") -> Tensor:
    outputs = trace(network, [layer], batch[:3])
    with record_activations(network, outputs, pooling) as activations:
        return activations(batch)[layer]


def hook_count(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in network.modules())


@pytest.fixture
def vit() -> nn.Module:
    torch.manual_seed(0)
    network = VisionTransformer(32, 8, num_layers=2, num_heads=2, hidden_dim=12, mlp_dim=16, num_classes=5)
    nn.init.normal_(network.heads.head.weight)
    return network.eval()


@pytest.fixture
def swin() -> nn.Module:
    torch.manual_seed(0)
    return SwinTransformer([4, 4], 8, [2, 2], [2, 2], [2, 2], num_classes=5).eval()


@pytest.fixture
def convnext() -> nn.Module:
    torch.manual_seed(0)
    return ConvNeXt([CNBlockConfig(10, 12, 1), CNBlockConfig(12, None, 1)], num_classes=5).eval()


# -- pooled values against a literal computation -------------------------------------------------------


def channels_first(output: Tensor, pooling: str) -> Tensor:
    wanted = torch.empty(output.shape[0], output.shape[1])
    for image in range(output.shape[0]):
        for unit in range(output.shape[1]):
            values = [value.item() for row in output[image, unit] for value in row]
            wanted[image, unit] = sum(values) / len(values) if pooling == "avg" else max(values)
    return wanted


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("layer", ["conv1", "conv2"])
def test_maps_of_convolutions(layer: str, pooling: str) -> None:
    network = tiny_models.network().eval()
    (output,) = trace(network, [layer], images(3))
    assert output.axes == "channels first"
    assert output.units == network.get_submodule(layer).out_channels
    wanted = channels_first(captured(network, layer, images()), pooling)
    torch.testing.assert_close(pooled(network, layer, images(), pooling), wanted)


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_flat_outputs_are_taken_as_they_are(pooling: str) -> None:
    network = tiny_models.network(7).eval()
    (output,) = trace(network, ["fc"], images(3))
    assert (output.axes, output.units, output.special.class_token) == ("flat", 7, None)
    torch.testing.assert_close(pooled(network, "fc", images(), pooling), captured(network, "fc", images()))


@pytest.mark.parametrize("layer", ["encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_1.mlp"])
def test_tokens_with_a_class_token(vit: nn.Module, layer: str) -> None:
    (output,) = trace(vit, [layer], images(3))
    assert (output.axes, output.shape, output.units) == ("tokens", (17, 12), 12)
    assert output.special.class_token == 0
    tokens = captured(vit, layer, images())
    patches = tokens[:, 1:]
    torch.testing.assert_close(pooled(vit, layer, images(), "avg"), sum(patches.unbind(1)) / 16)
    torch.testing.assert_close(pooled(vit, layer, images(), "max"), patches.max(dim=1).values)
    torch.testing.assert_close(pooled(vit, layer, images(), "cls"), tokens[:, 0])


def test_the_patches_map_of_a_transformer_is_channels_first(vit: nn.Module) -> None:
    wanted = channels_first(captured(vit, "conv_proj", images()), "avg")
    torch.testing.assert_close(pooled(vit, "conv_proj", images()), wanted)


@pytest.mark.parametrize("layer", ["features.0", "features.1", "features.1.0", "features.2", "norm"])
def test_maps_of_swin_are_channels_last(swin: nn.Module, layer: str) -> None:
    (output,) = trace(swin, [layer], images(3))
    assert output.axes == "channels last"
    value = captured(swin, layer, images())
    assert output.units == value.shape[-1]
    wanted = channels_first(value.permute(0, 3, 1, 2), "avg")
    torch.testing.assert_close(pooled(swin, layer, images()), wanted)


@pytest.mark.parametrize("layer", ["permute", "avgpool"])
def test_maps_that_swin_has_turned_are_channels_first(swin: nn.Module, layer: str) -> None:
    (output,) = trace(swin, [layer], images(3))
    assert (output.axes, output.units) == ("channels first", 16)


@pytest.mark.parametrize("layer", ["features.0", "features.1", "features.1.0", "features.2.0", "features.3"])
def test_maps_of_convnext_are_channels_first_though_it_ends_in_linear_layers(
    convnext: nn.Module, layer: str
) -> None:
    (output,) = trace(convnext, [layer], images(3, 64))
    assert output.axes == "channels first"
    assert output.units == captured(convnext, layer, images(1, 64)).shape[1]


def test_the_linear_layers_inside_convnext_are_channels_last(convnext: nn.Module) -> None:
    (output,) = trace(convnext, ["features.1.0.block.3"], images(3, 64))
    assert (output.axes, output.units) == ("channels last", 40)


@pytest.mark.parametrize(
    ("name", "layer", "units"),
    [
        ("resnet10t", "layer4", 512),
        ("resnet10t", "layer4.0.act2", 512),
        ("convnext_atto", "stages.1", 80),
        ("convnext_atto", "stages.1.blocks.0", 80),
        ("efficientvit_b0", "stages.2", 64),
    ],
)
def test_networks_of_timm(name: str, layer: str, units: int) -> None:
    import timm

    network = timm.create_model(name, pretrained=False).eval()
    (output,) = trace(network, [layer], images(3, 64))
    assert (output.axes, output.units) == ("channels first", units)


def test_only_layers_behind_it_have_the_class_token() -> None:
    import timm

    network = timm.create_model(
        "vit_tiny_patch16_224", pretrained=False, img_size=64, depth=1, embed_dim=12, num_heads=2
    ).eval()
    outputs = trace(network, ["patch_embed", "blocks.0"], images(3, 64))
    assert [(output.shape, output.special.class_token) for output in outputs] == [
        ((16, 12), None),
        ((17, 12), 0),
    ]


def test_a_map_as_wide_as_it_has_channels_is_told_by_its_modules() -> None:
    (output,) = trace(nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU()), ["0"], images(3, 8))
    assert (output.shape, output.axes) == ((6, 6, 6), "channels first")


def test_relu_layers_follow_the_network_they_stand_in() -> None:
    network = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=3).eval()
    outputs = trace(network, ["relu", "layer1.0.relu", "layer4"], images(3))
    assert [output.axes for output in outputs] == ["channels first"] * 3
    assert [output.units for output in outputs] == [64, 64, 512]


# -- order, stopping, cleaning up ----------------------------------------------------------------------


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, value: Tensor) -> Tensor:
        self.calls += 1
        return value


def counting() -> tuple[nn.Module, Counter]:
    counter = Counter()
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), counter, nn.Conv2d(5, 6, 3))
    return network.eval(), counter


def test_the_forward_pass_ends_after_the_deepest_wanted_layer() -> None:
    network, counter = counting()
    outputs = trace(network, ["2", "0"], images(3))
    assert [output.name for output in outputs] == ["0", "2"], "in order of execution"
    counter.calls = 0
    with record_activations(network, outputs, "avg") as activations:
        found = activations(images())
    assert {name: tuple(value.shape) for name, value in found.items()} == {"0": (3, 4), "2": (3, 5)}
    assert counter.calls == 0


def test_hooks_are_gone_after_the_block_also_after_an_error() -> None:
    network, _ = counting()
    outputs = trace(network, ["0", "4"], images(3))
    assert hook_count(network) == 0
    with record_activations(network, outputs, "avg"):
        assert hook_count(network) == 2
    assert hook_count(network) == 0
    with pytest.raises(ZeroDivisionError), record_activations(network, outputs, "avg"):
        raise ZeroDivisionError
    assert hook_count(network) == 0
    assert network(images()).shape == (3, 6, 26, 26)


def test_a_module_that_runs_twice_gives_its_last_output() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared, self.between = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, value: Tensor) -> Tensor:
            return self.shared(self.between(self.shared(value)))

    network = Twice().eval()
    outputs = trace(network, ["shared", "between"], images(3))
    assert [(output.name, output.calls) for output in outputs] == [("between", 1), ("shared", 2)]
    with record_activations(network, outputs, "avg") as activations:
        for _ in range(2):  # the count starts anew with every batch
            found = activations(images())["shared"]
    with torch.inference_mode():
        wanted = network(images()).mean((2, 3))
    torch.testing.assert_close(found, wanted)


def test_batches_do_not_mix() -> None:
    network = tiny_models.network().eval()
    outputs = trace(network, ["conv2"], images(3))
    with record_activations(network, outputs, "avg") as activations:
        first = activations(images()[:1])["conv2"]
        together = activations(images())["conv2"]
        torch.testing.assert_close(together[:1], first)
        assert not together.requires_grad


def test_half_precision_is_summed_in_full() -> None:
    """A mean of 4,096 bf16 numbers near 1 would stop growing at 256 if it were summed in bf16."""
    value = torch.ones(1, 2, 64, 64, dtype=torch.bfloat16)
    value[:, 1] += 0.0078125
    output = LayerOutput("x", (2, 64, 64), "channels first")
    found = pool(value, output, "avg")
    assert found.dtype == torch.float32
    assert found.tolist() == [[1.0, 1.0078125]]
    assert pool(value, output, "max").dtype == torch.float32


def test_negative_maps_keep_their_sign_under_max() -> None:
    output = LayerOutput("x", (1, 2, 2), "channels first")
    assert pool(-torch.ones(1, 1, 2, 2), output, "max").item() == -1


# -- what is refused -----------------------------------------------------------------------------------


def test_an_unknown_layer_is_answered_with_near_names() -> None:
    with pytest.raises(CmonError, match=r"--layer conv3: .* no such layer\n.*did you mean 'conv\d'"):
        trace(tiny_models.network(), ["conv1", "conv3"], images(3))
    with pytest.raises(CmonError, match="no such layer"):
        trace(tiny_models.network(), [""], images(3))


def test_a_layer_that_never_runs_is_refused() -> None:
    with pytest.raises(CmonError, match="--layer unused: exists, but does not run"):
        trace(tiny_models.network(), ["unused"], images(3))


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (lambda x: x.mean((1, 2, 3)), r"no axis of units"),
        (lambda x: x[:, :, None], r"\(3, 1, 32, 32\)"),
    ],
)
def test_an_output_with_no_units_is_refused(output: Callable[[Tensor], object], message: str) -> None:
    class Odd(nn.Module):
        def forward(self, value: Tensor) -> object:
            return output(value)

    with pytest.raises(CmonError, match=message):
        trace(nn.Sequential(Odd()), ["0"], images())


def test_a_network_that_cannot_take_the_image_says_so(vit: nn.Module) -> None:
    with pytest.raises(CmonError, match=r"--image-size") as caught:
        trace(vit, ["encoder"], images(3, 40))
    assert "(3, 40, 40)" in str(caught.value)
    assert hook_count(vit) == 0


def test_the_class_token_of_a_layer_without_one_is_refused() -> None:
    network = tiny_models.network().eval()
    outputs = trace(network, ["conv1"], images(3))
    with (
        pytest.raises(CmonError, match="conv1 has no class token"),
        record_activations(network, outputs, "cls"),
    ):
        pass


def test_a_flat_output_is_taken_as_it_is_beside_class_tokens(vit: nn.Module) -> None:
    inputs = images()
    outputs = trace(vit, ["encoder", "heads"], inputs)
    found = {}
    for pooling in ("cls", "avg"):
        with record_activations(vit, outputs, pooling) as activations:
            found[pooling] = activations(inputs)
    torch.testing.assert_close(found["cls"]["heads"], found["avg"]["heads"])
    assert not torch.allclose(found["cls"]["encoder"], found["avg"]["encoder"])


def test_a_star_stops_at_a_dot_and_two_do_not() -> None:
    network = nn.Sequential()
    network.add_module("stem", nn.Conv2d(3, 4, 1))
    network.add_module("blocks", nn.Sequential(nn.Sequential(nn.ReLU()), nn.Sequential(nn.ReLU())))
    assert match_layers(network, ["blocks.*"]) == ["blocks.0", "blocks.1"]
    assert match_layers(network, ["blocks.**"]) == ["blocks.0", "blocks.0.0", "blocks.1", "blocks.1.0"]
    assert match_layers(network, ["blocks.1", "st?m", "blocks.*"]) == ["stem", "blocks.0", "blocks.1"]
    with pytest.raises(CmonError, match=r"layer blocs: .*\n.*blocks"):
        match_layers(network, ["blocs"])
    with pytest.raises(CmonError, match="no such layer"):
        match_layers(network, ["*.7"])


class Wrapped(nn.Module):
    """Gives its convolution's map inside something else, as attention blocks and Hugging Face's models do."""

    def __init__(self, wrap: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.inner = nn.Conv2d(3, 5, 1)
        self.block = _Block(self.inner, wrap)

    def forward(self, images: Tensor) -> object:
        return self.block(images)


class _Block(nn.Module):
    def __init__(self, inner: nn.Module, wrap: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.convolution, self.wrap = inner, wrap

    def forward(self, images: Tensor) -> object:
        return self.wrap(self.convolution(images))


@pytest.mark.parametrize(
    "wrap",
    [lambda value: (value, None), lambda value: [3, value], lambda value: {"map": value, "loss": None}],
)
def test_the_one_tensor_in_a_tuple_list_or_dict_is_the_output(wrap: Callable[[Tensor], object]) -> None:
    network = Wrapped(wrap)
    inputs = images(3, 6)
    outputs = trace(network, ["block"], inputs)
    with record_activations(network, outputs, "avg") as activations:
        torch.testing.assert_close(activations(inputs)["block"], network.inner(inputs).mean((2, 3)).detach())


@pytest.mark.parametrize(
    ("wrap", "found"),
    [
        (lambda value: (value, value), r"tuple of 0: \(2, 5, 6, 6\), 1: \(2, 5, 6, 6\)"),
        (lambda value: {"a": None}, "dict of a: NoneType"),
        (lambda value: "text", "found:    str"),
    ],
)
def test_two_tensors_or_none_are_an_error_that_says_what_came(
    wrap: Callable[[Tensor], object], found: str
) -> None:
    with pytest.raises(CmonError, match=found):
        trace(Wrapped(wrap), ["block"], images(3, 6))
