from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from cmon.checkpoints import averaging, state_dict
from cmon.extraction.network import build_network, load_weights
from tests.support import tiny_models


def state(network: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    return {prefix + name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.fixture
def trained() -> nn.Module:
    torch.manual_seed(3)
    return tiny_models.network()


def found_in(tensors: dict[str, Tensor], network: nn.Module) -> state_dict.Match:
    found = state_dict.match(tensors, network.state_dict(), "python:net:make")
    state_dict.check_match(found, "python:net:make")
    assert found.tensors.keys() == network.state_dict().keys()
    return found


class Holder(nn.Module):
    """A network with a part that is really called 'module'."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Linear(2, 3)
        self.head = nn.Sequential()
        self.head.add_module("module", nn.Linear(3, 1))


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "module.",
        "_orig_mod.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "model.",
        "net.backbone.",
        "a.module.b.",
    ],
)
def test_the_prefix_is_found_by_matching(trained: nn.Module, prefix: str) -> None:
    found = found_in(state(trained, prefix), tiny_models.network())
    torch.testing.assert_close(found.tensors, state(trained))
    assert found.prefix in ("", prefix)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "model."])
def test_a_part_that_is_really_called_module_stays(prefix: str) -> None:
    network = Holder()
    torch.testing.assert_close(found_in(state(network, prefix), Holder()).tensors, state(network))


def test_wrappers_inside_a_network_are_taken_out(trained: nn.Module) -> None:
    tensors = {name.replace("conv1.", "conv1._orig_mod."): value for name, value in state(trained).items()}
    tensors = {name.replace("conv2.", "module.conv2.module."): value for name, value in tensors.items()}
    torch.testing.assert_close(found_in(tensors, tiny_models.network()).tensors, state(trained))


@pytest.mark.parametrize("compiled", [False, True])
def test_the_wrappers_of_torch_itself(trained: nn.Module, compiled: bool) -> None:
    wrapped = nn.DataParallel(trained)
    tensors = dict((torch.compile(wrapped) if compiled else wrapped).state_dict())
    assert next(iter(tensors)).startswith("_orig_mod.module." if compiled else "module.")
    torch.testing.assert_close(found_in(tensors, tiny_models.network()).tensors, state(trained))


def test_what_lies_beside_the_network_is_told(trained: nn.Module) -> None:
    beside = {"criterion.weight": torch.ones(5), "head.fc.weight": torch.ones(1)}
    found = found_in({**state(trained, "model."), **beside}, tiny_models.network())
    assert found.prefix == "model."
    assert found.outside.keys() == beside.keys()


def test_without_a_prefix_nothing_may_be_left_over(trained: nn.Module) -> None:
    with pytest.raises(state_dict.WeightsMismatch, match=r"6 that match; 1 unknown: criterion\.weight"):
        load_weights(trained, {**state(trained), "criterion.weight": torch.ones(5)}, "x")


def test_within_the_prefix_nothing_may_be_left_over(trained: nn.Module) -> None:
    with pytest.raises(
        state_dict.WeightsMismatch, match=r"under 'model\.'; 1 unknown: extra\.bias"
    ) as caught:
        load_weights(trained, {**state(trained, "model."), "model.extra.bias": torch.ones(5)}, "x")
    assert (caught.value.matched, caught.value.total) == (6, 6)


def test_the_best_way_of_reading_says_what_does_not_fit(trained: nn.Module) -> None:
    tensors = state(trained, "module.net.")
    del tensors["module.net.conv2.bias"]
    tensors["module.net.fc.bias"] = torch.ones(2)
    with pytest.raises(state_dict.WeightsMismatch) as caught:
        load_weights(trained, tensors, "python:net:make")
    message = str(caught.value)
    assert "4 that match" in message
    assert "1 missing: conv2.bias" in message
    assert "fc.bias (2,) where python:net:make has (5,)" in message
    assert "unknown" not in message


def test_a_network_that_is_there_twice_must_be_the_same(trained: nn.Module) -> None:
    twice = {**state(trained, "attacker.model."), **state(trained, "model.")}
    assert found_in(twice, tiny_models.network()).prefix == "model."
    other = {**state(trained, "student."), **state(tiny_models.network(), "teacher.")}
    with pytest.raises(state_dict.WeightsMismatch, match=r"2 networks .*(.|\n)*'student\.', 'teacher\.'"):
        found_in(other, tiny_models.network())


def test_raw_weights_are_not_mistaken_for_their_average(trained: nn.Module) -> None:
    average = tiny_models.network()
    both = {**state(average, "ema_model."), **state(trained, "model.")}
    found = found_in(both, tiny_models.network())
    assert (found.prefix, found.averaged) == ("model.", False)
    assert found_in(state(average, "model_ema.module."), tiny_models.network()).averaged


@pytest.mark.parametrize(
    ("name", "averaged"),
    [
        ("ema.conv", True),
        ("model_ema.module.x", True),
        ("EMA_net.x", True),
        ("schema.x", False),
        ("emanet.x", False),
    ],
)
def test_which_names_say_ema(name: str, averaged: bool) -> None:
    assert averaging.is_averaged(name) is averaged


@pytest.mark.parametrize("prefix", ["", "module."])
def test_pruned_weights_are_multiplied_out(trained: nn.Module, prefix: str) -> None:
    prune.l1_unstructured(trained.conv1, "weight", amount=0.5)
    prune.random_unstructured(trained.fc, "bias", amount=0.4)
    tensors = state(trained, prefix)
    assert f"{prefix}conv1.weight_mask" in tensors
    found = found_in(tensors, tiny_models.network())
    assert torch.equal(found.tensors["conv1.weight"], trained.conv1.weight)
    assert torch.equal(found.tensors["fc.bias"], trained.fc.bias)
    assert (found.tensors["conv1.weight"] == 0).sum() >= 81


def test_a_network_that_is_itself_pruned_keeps_its_masks(trained: nn.Module) -> None:
    prune.l1_unstructured(trained.conv1, "weight", amount=0.5)
    network = tiny_models.network()
    prune.identity(network.conv1, "weight")
    assert "conv1.weight_mask" in found_in(state(trained), network).tensors


def test_a_normaliser_in_front_is_seen(trained: nn.Module) -> None:
    mean, std = torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1), torch.full((3, 1, 1), 0.25)
    tensors = {"normalizer.new_mean": mean, "normalizer.new_std": std, **state(trained, "model.")}
    found = found_in(tensors, tiny_models.network()).normaliser
    assert found is not None
    assert found[0] == pytest.approx([0.5, 0.4, 0.3])
    assert found[1] == pytest.approx([0.25] * 3)
    assert found_in(state(trained), tiny_models.network()).normaliser is None


def test_the_classes_are_read_under_a_prefix() -> None:
    weights = {f"model.{name}": value for name, value in tiny_resnet(7).items()}
    assert build_network("torchvision:resnet18", {}, weights).fc.out_features == 7


def tiny_resnet(classes: int) -> dict[str, Tensor]:
    import torchvision

    return dict(torchvision.models.resnet18(num_classes=classes).state_dict())


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    "change",
    [
        lambda network: (
            parametrizations.spectral_norm(network.conv1),
            parametrizations.weight_norm(network.fc),
        ),
        lambda network: (nn.utils.spectral_norm(network.conv1), nn.utils.weight_norm(network.fc)),
    ],
)
def test_a_network_with_the_same_parametrizations_reads_them(
    trained: nn.Module, change: Callable[..., Any]
) -> None:
    images = torch.randn(2, 3, 16, 16)
    change(trained)
    trained(images)  # one step of the power iteration
    network = tiny_models.network()
    change(network)
    load_weights(network, state(trained), "x")
    assert torch.equal(network.eval()(images), trained.eval()(images))


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"conv1.weight": torch.ones(6, 1, 3, 3)}, "--model-arg"),
        ({"fc.weight": torch.ones(2, 8), "fc.bias": torch.ones(2)}, "num_classes"),
    ],
)
def test_the_hint_fits_the_cause(trained: nn.Module, change: dict[str, Tensor], hint: str) -> None:
    with pytest.raises(state_dict.WeightsMismatch) as caught:
        load_weights(tiny_models.network(), state(trained) | change, "x")
    assert hint in (caught.value.hint or "")
    assert ("num_classes" in (caught.value.hint or "")) == (hint == "num_classes")
    with pytest.raises(state_dict.WeightsMismatch, match="this seems to be another network"):
        load_weights(tiny_models.network(), {"other.weight": torch.ones(1)}, "x")
