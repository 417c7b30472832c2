"""Networks: from a `--model` spec and a checkpoint's weights to a network that fits them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cmon.checkpoints.state_dict import Match, WeightsMismatch, check_match, match
from cmon.errors import CmonError, nearest_names
from cmon.extraction.layers.forward import unwrapped
from cmon.user_code import python_object

_FORMS = "torchvision:NAME, timm:NAME or python:MODULE:FACTORY"


def build_network(spec: str, arguments: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> nn.Module:
    """Build the network that `spec` names, with the weights' number of classes and channels, and load them.

    spec: `torchvision:resnet18`, `timm:resnet10t`, or `python:package.module:factory`, where the module is
    importable or a path of a .py file.
    arguments: passed to the builder; `num_classes` and timm's `in_chans` given here are kept.
    tensors: a checkpoint's state dict; `state_dict.match` finds the network's names in it.

    Returns the network in eval mode, without wrappers of torch.compile or DataParallel. Raises CmonError when the
    spec names nothing, WeightsMismatch when the weights do not fit.
    """
    builder = find_builder(spec)
    network = _call(builder, spec, arguments)
    kind = spec.split(":")[0]
    if kind != "python":
        found = match(tensors, network.state_dict(), spec).tensors
        read = {"num_classes": _find_classes(network, found), "in_chans": _find_channels(network, found)}
        if kind == "torchvision" and (channels := read.pop("in_chans")) is not None:
            raise WeightsMismatch(
                f"the checkpoint's network takes pictures of {channels} channels, which {spec} cannot",
                hint="give a --model python:FILE.py:FACTORY that builds it so",
            )
        more = {key: value for key, value in read.items() if value is not None and key not in arguments}
        if more:
            network = _call(builder, spec, {**arguments, **more})
    load_weights(network, tensors, spec)
    return network.eval()


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor], spec: str) -> Match:
    """Load weights strictly: every tensor of the network must be there, by name and shape.

    Raises WeightsMismatch with the first names that do not fit.
    """
    found = match(tensors, network.state_dict(), spec)
    check_match(found, spec)
    network.load_state_dict(found.tensors, strict=False)  # batch counters may be missing, see `check_match`
    return found


def find_builder(spec: str) -> Callable[..., nn.Module]:
    """The builder that a spec names. Raises CmonError when there is none."""
    kind, _, name = spec.partition(":")
    if kind == "torchvision" and name:
        import torchvision

        known = torchvision.models.list_models()
        if name not in known:
            raise CmonError(f"--model {spec}: torchvision has no {name!r}", hint=nearest_names(name, known))
        return lambda **arguments: torchvision.models.get_model(
            name, weights=None, **_without_download(name, arguments)
        )
    if kind == "timm" and name:
        import timm

        if not timm.is_model(name):
            hint = nearest_names(name, timm.list_models())
            raise CmonError(f"--model {spec}: timm has no {name!r}", hint=hint)
        return lambda **arguments: timm.create_model(name, pretrained=False, **arguments)
    if kind == "python" and ":" in name:
        return python_object(name, "--model")
    raise CmonError(f"--model {spec}: cannot be understood", expected=_FORMS)


def _call(builder: Callable[..., nn.Module], spec: str, arguments: Mapping[str, Any]) -> nn.Module:
    try:
        network = builder(**arguments)
    except Exception as error:  # a user's factory can fail in any way
        given = ", ".join(f"{name}={value}" for name, value in arguments.items()) or "none"
        raise CmonError(
            f"--model {spec}: could not be built",
            expected="a factory that gives a network for these arguments: " + given,
            found=f"{type(error).__name__}: {error}",
            hint="check --model-arg",
        ) from error
    if not isinstance(network, nn.Module):
        raise CmonError(
            f"--model {spec}: gave no network", expected="a torch.nn.Module", found=type(network).__name__
        )
    if isinstance(network, torch.jit.ScriptModule):
        raise CmonError(
            f"--model {spec}: gave a TorchScript program, whose layers cannot be looked into",
            expected="a network in Python",
            found=type(network).__name__,
            hint="give the factory of the network that it was made from",
        )
    if any(nn.parameter.is_lazy(tensor) for tensor in (*network.parameters(), *network.buffers())):
        raise CmonError(
            f"--model {spec}: some of its layers have no sizes before they first run (LazyConv2d, LazyLinear, ...)",
            hint="run the network on one picture in the factory, before it is returned",
        )
    return unwrapped(network)


def _find_classes(network: nn.Module, tensors: Mapping[str, Tensor]) -> int | None:
    """The weights' number of classes, the rows of the last linear layer; None where it is the network's."""
    heads = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not heads:
        return None
    weight = tensors.get(f"{heads[-1]}.weight")
    built = network.state_dict()[f"{heads[-1]}.weight"]
    if weight is None or weight.ndim != 2 or weight.shape[0] == built.shape[0]:
        return None
    return int(weight.shape[0])


def _find_channels(network: nn.Module, tensors: Mapping[str, Tensor]) -> int | None:
    """The weights' number of input channels, of the first convolution; None where it is the network's."""
    first = next((name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)), None)
    stated = (getattr(network, "pretrained_cfg", None) or {}).get("first_conv")
    if isinstance(stated, str):
        first = stated
    weight, built = tensors.get(f"{first}.weight"), network.state_dict().get(f"{first}.weight")
    if weight is None or built is None or weight.ndim != 4 or weight.shape[1] == built.shape[1]:
        return None
    same = (*weight.shape[:1], *weight.shape[2:]) == (*built.shape[:1], *built.shape[2:])
    return int(weight.shape[1]) if same else None  # otherwise, it is another network's


def _without_download(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """With arguments that keep torchvision's builders from fetching a backbone and warning of slow init."""
    import torchvision

    extra: dict[str, Any] = {}
    if "weights_backbone" in inspect.signature(torchvision.models.get_model_builder(name)).parameters:
        extra["weights_backbone"] = None
    if name in ("googlenet", "inception_v3"):
        extra["init_weights"] = False
    return {**extra, **arguments}
