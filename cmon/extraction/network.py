"""Networks: from a `--model` spec and a checkpoint's weights to a network that fits them, and its preprocessing."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from cmon.checkpoints.state_dict import Match, check_match, match
from cmon.errors import CmonError, nearest_names
from cmon.images.preprocessing import CustomPreprocess, Preprocess, ResizeCrop
from cmon.user_code import python_object

_FORMS = "torchvision:NAME, timm:NAME or python:MODULE:FACTORY"


def build_network(spec: str, arguments: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> nn.Module:
    """Build the network that `spec` names, with the number of classes of the weights, and load them.

    spec: `torchvision:resnet18`, `timm:resnet10t`, or `python:package.module:factory`, where the module is
    importable or a path of a .py file.
    arguments: passed to the builder; `num_classes` given here is kept.
    tensors: a checkpoint's state dict; `state_dict.match` finds the network's names in it.

    Returns the network in eval mode. Raises CmonError when the spec names nothing, WeightsMismatch when the
    weights do not fit.
    """
    builder = find_builder(spec)
    network = _call(builder, spec, arguments)
    if spec.split(":")[0] != "python" and "num_classes" not in arguments:
        classes = _find_classes(network, match(tensors, network.state_dict(), spec).tensors)
        if classes is not None:
            network = _call(builder, spec, {**arguments, "num_classes": classes})
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


def find_preprocess(
    spec: str,
    network: nn.Module,
    image_size: int | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> Preprocess:
    """The network's own preprocessing, or that of ImageNet at `image_size` where it has none.

    torchvision: the transforms of the model's default weights; timm: its data configuration; python: the
    network's `preprocess` attribute, a `ResizeCrop` or a function from a PIL image to a (3,H,W) tensor.
    image_size: side of the input in pixels: resized (shorter side) and cropped to it, the rest as above.
    mean, std: of the three channels, of values from 0 to 1, in place of the network's own.
    Raises CmonError where a function of the user's own cannot be changed like this.
    """
    own = _own_preprocess(spec, network)
    given: dict[str, Any] = {} if image_size is None else {"resize": image_size, "crop": image_size}
    given |= {name: value for name, value in (("mean", mean), ("std", std)) if value is not None}
    if not given:
        return own or ResizeCrop(256, 224)
    if own is not None and not isinstance(own, ResizeCrop):
        raise CmonError(
            f"--model {spec}: has its own preprocessing function, which --image-size, --mean and --std cannot change",
            hint="leave them out, or remove the network's attribute `preprocess`",
        )
    return replace(own or ResizeCrop(256, 224), **given)


def _own_preprocess(spec: str, network: nn.Module) -> Preprocess | None:
    kind, _, name = spec.partition(":")
    if kind == "torchvision":
        import torchvision

        preset = torchvision.models.get_model_weights(name).DEFAULT.transforms()
        if not hasattr(preset, "crop_size"):  # segmentation and detection take images of any size
            return None
        return ResizeCrop(
            int(preset.resize_size[0]),
            int(preset.crop_size[0]),
            tuple(preset.mean),
            tuple(preset.std),
            preset.interpolation.value,
        )
    if kind == "timm":
        import timm

        config = timm.data.resolve_model_data_config(network)
        side = int(config["input_size"][-1])
        resize = math.floor(side / config["crop_pct"])
        return ResizeCrop(
            resize,
            side,
            tuple(config["mean"]),
            tuple(config["std"]),
            config["interpolation"].replace("random", "bicubic"),  # 'random' is for augmentation
        )
    own = getattr(network, "preprocess", None)
    if own is None or isinstance(own, ResizeCrop):
        return own
    if not callable(own):
        raise CmonError(
            f"--model {spec}: its attribute `preprocess` cannot be called",
            expected="a function from a PIL image to a (3,H,W) tensor",
            found=type(own).__name__,
        )
    return CustomPreprocess(own)


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
    return network


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


def _without_download(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """With arguments that keep torchvision's builders from fetching a backbone and warning of slow init."""
    import torchvision

    extra: dict[str, Any] = {}
    if "weights_backbone" in inspect.signature(torchvision.models.get_model_builder(name)).parameters:
        extra["weights_backbone"] = None
    if name in ("googlenet", "inception_v3"):
        extra["init_weights"] = False
    return {**extra, **arguments}
