"""Under which conditions networks run: memory format, type of numbers, channels; and hints that fit the cause."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn

from cmon.errors import CmonError
from cmon.extraction.conditions import Conditions, find_conditions, fit_channels
from cmon.extraction.layers.forward import unwrapped
from cmon.extraction.layers.trace import trace
from cmon.extraction.preprocessing import DEFAULT, FoundPreprocess, find_preprocess
from cmon.images.preprocessing import CustomPreprocess, ResizeCrop
from cmon.images.trial import trial_pictures
from tests.support import tiny_models
from tests.support.layer_cases import Between, LeNet, chain

SMALL = ResizeCrop(32, 32)
PLAIN = Conditions(channels_last=False)


def conditions_of(network: nn.Module, *layers: str, dtype: torch.dtype = torch.float32) -> Conditions:
    return find_conditions(network.eval(), layers, SMALL, "cpu", dtype)


# -- memory format -------------------------------------------------------------------------------------


def test_channels_last_where_it_gives_the_same() -> None:
    network = tiny_models.network()
    assert conditions_of(network, "conv2") == Conditions()
    assert network.conv1.weight.is_contiguous(memory_format=torch.channels_last)


def storage_order(maps: Tensor) -> Tensor:
    """Other values channels-last, and no error."""
    return maps.as_strided((len(maps), 6, 49), (6 * 49, 49, 1))


@pytest.mark.parametrize(
    ("network", "layer", "why"),
    [
        (LeNet(), "conv", "it fails channels-last"),
        (
            chain(nn.Conv2d(3, 6, 5, stride=4), storage_order),
            "1",
            "its layer 1 gives other values channels-last",
        ),
    ],
)
def test_contiguous_where_channels_last_fails_or_gives_other_values(
    network: nn.Module, layer: str, why: str
) -> None:
    found = conditions_of(network, layer)
    assert found == Conditions(channels_last=False, why_contiguous=why)
    pictures = found.batch(SMALL, pixels(SMALL))
    assert pictures.is_contiguous()
    assert all(tensor.is_contiguous() for tensor in network.parameters())


def test_weights_of_five_axes_and_complex_ones_stay_what_they_are() -> None:
    class Fourier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3, 32, 17, dtype=torch.complex64))
            self.out = nn.Conv2d(3, 4, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.out(torch.fft.irfft2(torch.fft.rfft2(images) * self.weight, s=(32, 32)))

    network = Fourier()
    before = network.weight.detach().clone()
    conditions = conditions_of(network, "out")
    assert torch.equal(network.weight, before)
    trace(network, ["out"], conditions.batch(SMALL, pixels(SMALL)))
    conditions_of(chain(lambda x: x[:, None], nn.Conv3d(1, 4, 3)), "1")


def test_a_network_in_half_precision_runs_in_full() -> None:
    network = tiny_models.network().half()
    conditions_of(network, "conv2")
    assert network.conv1.weight.dtype == torch.float32


def pixels(own: ResizeCrop, count: int = 3) -> object:
    import numpy as np

    return np.stack([own.pixels(picture) for picture in trial_pictures(count)])


# -- channels ------------------------------------------------------------------------------------------


def guess() -> FoundPreprocess:
    return FoundPreprocess(SMALL, dict.fromkeys(("size", "interpolation", "mean", "std"), DEFAULT))


@pytest.mark.parametrize(
    "network",
    [
        chain(nn.Conv2d(1, 6, 3)),
        chain(lambda x: x.view(-1, 1, 32, 32), nn.Conv2d(1, 6, 3)),
        chain(nn.Flatten(), nn.Linear(1024, 5)),
        chain(lambda x: x.reshape(-1, 1024), nn.Linear(1024, 5)),
    ],
    ids=["convolution", "convolution behind a view", "linear", "linear behind a reshape"],
)
def test_a_network_of_one_channel_gets_grey_pictures(network: nn.Module) -> None:
    found = fit_channels("python:x:y", network.eval(), guess(), PLAIN)
    own = found.preprocess
    assert isinstance(own, ResizeCrop)
    assert (own.channels, len(own.std)) == (1, 1)
    assert own.mean[0] == pytest.approx(0.449)
    batch = own.batch(pixels(own))  # type: ignore[arg-type]
    assert batch.shape == (3, 1, 32, 32)
    grey = torchvision.transforms.functional.to_tensor(trial_pictures(1)[0].convert("L").resize((32, 32), 2))
    torch.testing.assert_close(batch[0], (grey - own.mean[0]) / own.std[0], atol=1e-5, rtol=1e-4)
    assert found.defaults == ["size", "mean", "std"], "still a guess"
    assert "grey" in found.text


@pytest.mark.parametrize(
    "network",
    [
        tiny_models.network(),
        chain(lambda x: x.mean(1, keepdim=True), nn.Conv2d(1, 6, 3)),
        chain(nn.Flatten(), nn.Linear(3072, 5)),
        chain(lambda x: x.permute(0, 2, 3, 1).reshape(-1, 3), nn.Linear(3, 5)),
    ],
    ids=["convolution", "grey made inside", "linear", "pixel by pixel"],
)
def test_a_network_of_three_channels_keeps_them(network: nn.Module) -> None:
    assert fit_channels("python:x:y", network.eval(), guess(), PLAIN) == guess()


@pytest.mark.parametrize("channels", [2, 4, 12])
def test_other_numbers_of_channels_are_refused_by_what_they_are(channels: int) -> None:
    with pytest.raises(CmonError, match=f"the network takes {channels} channels") as caught:
        fit_channels("python:x:y", chain(nn.Conv2d(channels, 6, 3)).eval(), guess(), PLAIN)
    assert "--image-size" not in str(caught.value)
    assert "`preprocess`" in str(caught.value)


def test_given_numbers_of_a_grey_network() -> None:
    network = chain(nn.Conv2d(1, 6, 3)).eval()
    given = find_preprocess("python:x:y", network, 32, (0.1307,) * 3, (0.3081,) * 3)
    found = fit_channels("python:x:y", network, given, PLAIN)
    assert found.preprocess == ResizeCrop(32, 32, (0.1307,), (0.3081,))
    assert found.defaults == []
    given = find_preprocess("python:x:y", network, 32, (0.1, 0.2, 0.3), (0.3081,) * 3)
    with pytest.raises(CmonError, match=r"--mean: python:x:y takes grey pictures.*\n.*one number"):
        fit_channels("python:x:y", network, given, PLAIN)


# -- hints that fit the cause --------------------------------------------------------------------------


class Halved(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.linear(images.flatten(1).half(), torch.ones(2, 3072))


class TwoInputs(nn.Module):
    def forward(self, images: Tensor, targets: Tensor) -> Tensor:
        return images


@pytest.mark.parametrize(
    ("network", "message", "hint"),
    [
        (chain(nn.Flatten(), nn.Linear(7, 2)), r"input of shape \(3, 32, 32\)", "--image-size"),
        (chain(nn.Conv2d(3, 4, 3), nn.Conv2d(5, 4, 3)), "input of shape", "--image-size"),
        (Halved(), "input of type float32", "--precision"),
        (TwoInputs(), "cannot be run on pictures alone", "takes pictures alone"),
        (nn.ModuleList([nn.Conv2d(3, 4, 3)]), "no forward pass", "factory"),
    ],
)
def test_a_network_that_does_not_run_is_told_with_a_hint_that_fits(
    network: nn.Module, message: str, hint: str
) -> None:
    with pytest.raises(CmonError, match=message) as caught:
        conditions_of(network)
    assert hint in (caught.value.hint or "")


def test_a_preprocess_of_the_wrong_channels_is_named() -> None:
    own = CustomPreprocess(
        torchvision.transforms.Compose(
            [torchvision.transforms.Grayscale(), torchvision.transforms.ToTensor()]
        )
    )
    with pytest.raises(CmonError, match="takes 3 channels, and its preprocessing gives 1"):
        find_conditions(chain(nn.Conv2d(3, 6, 3)).eval(), ["0"], own, "cpu", torch.float32)


def test_a_preprocess_may_give_what_the_network_takes() -> None:
    """A network of vectors: no maps, no channels, no size to vary."""
    own = CustomPreprocess(
        lambda image: torchvision.transforms.functional.to_tensor(image.resize((8, 8))).flatten()
    )
    network = chain(nn.Linear(192, 5)).eval()
    conditions = find_conditions(network, ["0"], own, "cpu", torch.float32)
    (output,) = trace(network, ["0"], conditions.batch(own, pixels(own)))  # type: ignore[arg-type]
    assert (output.axes, output.units) == ("flat", 5)


# -- wrappers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap",
    [nn.DataParallel, torch.compile, lambda network: nn.DataParallel(torch.compile(network))],
    ids=["DataParallel", "compile", "both"],
)
def test_a_wrapped_network_has_the_names_of_the_one_inside(wrap: Callable[[nn.Module], nn.Module]) -> None:
    network = unwrapped(wrap(tiny_models.network())).eval()
    assert {"conv1", "conv2", "fc"} <= {name for name, _ in network.named_modules()}
    assert conditions_of(network, "conv2") == Conditions()


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile])
def test_a_part_that_is_wrapped_is_read(wrap: Callable[[nn.Module], nn.Module]) -> None:
    network = unwrapped(
        nn.Sequential(wrap(chain(nn.Conv2d(3, 6, 3), nn.ReLU())), Between(torch.sigmoid))
    ).eval()
    names = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    outputs = trace(network, names, PLAIN.batch(SMALL, pixels(SMALL)))  # type: ignore[arg-type]
    assert [(output.axes, output.calls) for output in outputs] == [("channels first", 1)]


class Rescued(nn.Module):
    """Goes another way where its block fails, as it does channels-last."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block = nn.Conv2d(3, 6, 3), Between(lambda maps: maps.view(len(maps), -1))

    def forward(self, images: Tensor) -> Tensor:
        maps = self.stem(images)
        try:
            return self.block(maps)
        except Exception:
            return maps.mean((2, 3))


def test_a_network_that_goes_another_way_channels_last_is_run_contiguous() -> None:
    found = conditions_of(Rescued(), "block")
    assert (found.channels_last, found.why_contiguous) == (
        False,
        "its layer block does not run channels-last",
    )


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
@pytest.mark.parametrize(
    "script", [torch.jit.script, lambda network: torch.jit.trace(network, torch.zeros(1, 3, 32, 32))]
)
def test_torchscript_is_refused_and_beside_it_all_is_read(script: Callable[[nn.Module], nn.Module]) -> None:
    inner = script(nn.Sequential(nn.Conv2d(3, 6, 3)).eval())
    network = nn.Sequential(inner, nn.Conv2d(6, 4, 3)).eval()
    pictures = conditions_of(network, "1").batch(SMALL, pixels(SMALL))  # type: ignore[arg-type]
    (output,) = trace(network, ["1"], pictures)
    assert output.axes == "channels first"
    with pytest.raises(CmonError, match=r"--layer 0: exists, but .* it is TorchScript"):
        trace(network, ["0"], pictures)
