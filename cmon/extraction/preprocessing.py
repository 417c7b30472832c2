"""How pictures become a network's input, and where that is known from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from cmon.errors import CmonError
from cmon.images.preprocessing import CustomPreprocess, Preprocess, ResizeCrop
from cmon.images.trial import trial_pictures

DEFAULT = "default, as ImageNet's"
_OWN = "the factory's `preprocess`"
_PARTS = ("size", "interpolation", "mean", "std")


@dataclass(frozen=True)
class FoundPreprocess:
    """A preprocessing and where each part of it comes from."""

    preprocess: Preprocess
    sources: Mapping[str, str]
    """'size', 'interpolation', 'mean' and 'std' to "torchvision's ...", "timm's ...", `_OWN`, '--mean' or `DEFAULT`;
    only 'function' of the user's own function."""

    @property
    def defaults(self) -> list[str]:
        """The parts that neither the network nor the user says anything of."""
        return [part for part in ("size", "mean", "std") if self.sources.get(part, "").startswith(DEFAULT)]

    def row(self) -> dict[str, Any]:
        """Size, mean and std, interpolation, crop, and where they come from, as text and numbers."""
        own = self.preprocess
        if not isinstance(own, ResizeCrop):
            return {
                "size": "x".join(map(str, np.shape(own.pixels(trial_pictures(1)[0])))),
                "resize": None,
                "interpolation": None,
                "mean": None,
                "std": None,
                "channels": None,
                "from": f"{self.sources['function']}: {_one_line(own.describe()['custom'])}",
            }
        return {
            "size": f"{own.crop}x{own.crop}",
            "resize": f"{'both sides' if own.squash else 'shorter side'} to {own.resize}, centre crop",
            "interpolation": own.interpolation,
            "mean": _numbers(own.mean),
            "std": _numbers(own.std),
            "channels": own.channels,
            "from": self._where(),
        }

    @property
    def text(self) -> str:
        """All of `row` as one line."""
        row = self.row()
        if row["mean"] is None:
            return f"{row['size']} from {row['from']}"
        grey = " grey" if row["channels"] == 1 else ""
        return (
            f"{row['size']}{grey} pixels ({row['resize']}, {row['interpolation']}), mean {row['mean']}, "
            f"std {row['std']}; {row['from'] if ': ' in row['from'] else 'from ' + row['from']}"
        )

    def _where(self) -> str:
        by_source: dict[str, list[str]] = {}
        for part in _PARTS:
            by_source.setdefault(self.sources[part], []).append(part)
        if len(by_source) == 1:
            return next(iter(by_source))
        return "; ".join(f"{', '.join(parts)}: {source}" for source, parts in by_source.items())


def find_preprocess(
    spec: str,
    network: nn.Module,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> FoundPreprocess:
    """The network's own preprocessing, or that of ImageNet at `image_size` where it has none.

    torchvision: the transforms of the model's default weights; timm: its data configuration; python: the
    network's `preprocess` attribute, a `ResizeCrop` or a function from a PIL image to a (C,H,W) tensor.
    image_size: side of the input in pixels: resized (shorter side) and cropped to it, the rest as above.
    mean, std: of the three channels, of values from 0 to 1, in place of the network's own.
    Raises CmonError where a function of the user's own cannot be changed like this, or fails.
    """
    own = _own_preprocess(spec, network)
    given: dict[str, Any] = {} if image_size is None else {"resize": image_size, "crop": image_size}
    given |= {name: tuple(value) for name, value in (("mean", mean), ("std", std)) if value is not None}
    if not isinstance(own.preprocess, ResizeCrop):
        if given:
            raise CmonError(
                f"--model {spec}: has its own preprocessing function, which --image-size, --mean and --std cannot "
                "change",
                hint="leave them out, or remove the network's attribute `preprocess`",
            )
        _check_function(spec, own.preprocess)
        return own
    sources: dict[str, str] = {name: f"--{name}" for name in ("mean", "std") if name in given}
    sources |= {} if image_size is None else {"size": "--image-size"}
    return FoundPreprocess(replace(own.preprocess, **given), {**own.sources, **sources})


def as_grey(found: FoundPreprocess, spec: str) -> FoundPreprocess:
    """The same for grey pictures of one channel: with the means of mean and std over the three.

    Raises CmonError for three numbers of --mean or --std that differ.
    """
    own = found.preprocess
    if not isinstance(own, ResizeCrop):
        raise TypeError("a function of the user's own makes its own channels")
    changed: dict[str, Any] = {}
    sources = dict(found.sources)
    for name in ("mean", "std"):
        values = getattr(own, name)
        if found.sources[name] == f"--{name}" and len(set(values)) > 1:
            raise CmonError(
                f"--{name}: {spec} takes grey pictures, of one channel",
                expected="one number",
                found=_numbers(values),
            )
        changed[name] = (sum(values) / len(values),)
        if len(set(values)) > 1:
            sources[name] = f"{found.sources[name]}, averaged over three channels"
    return FoundPreprocess(replace(own, **changed), sources)


def _own_preprocess(spec: str, network: nn.Module) -> FoundPreprocess:
    kind, _, name = spec.partition(":")
    if kind == "torchvision":
        return _of_torchvision(name)
    if kind == "timm":
        return _of_timm(network)
    own = getattr(network, "preprocess", None)
    if own is None:
        return FoundPreprocess(ResizeCrop(256, 224), dict.fromkeys(_PARTS, DEFAULT))
    if isinstance(own, ResizeCrop):
        return FoundPreprocess(own, dict.fromkeys(_PARTS, _OWN))
    if not callable(own):
        raise CmonError(
            f"--model {spec}: its attribute `preprocess` cannot be called",
            expected="a function from a PIL image to a (C,H,W) tensor",
            found=type(own).__name__,
        )
    return FoundPreprocess(CustomPreprocess(own), {"function": _OWN})


def _of_torchvision(name: str) -> FoundPreprocess:
    import torchvision

    weights = torchvision.models.get_model_weights(name).DEFAULT
    preset = weights.transforms()
    source = f"torchvision's {weights}"
    if not hasattr(preset, "crop_size"):  # segmentation and detection take images of any size
        sources = dict.fromkeys(_PARTS, DEFAULT)
        if not hasattr(preset, "mean"):
            return FoundPreprocess(ResizeCrop(256, 224), sources)
        own = ResizeCrop(256, 224, tuple(preset.mean), tuple(preset.std))
        return FoundPreprocess(own, {**sources, "mean": source, "std": source})
    own = ResizeCrop(
        int(preset.resize_size[0]),
        int(preset.crop_size[0]),
        tuple(preset.mean),
        tuple(preset.std),
        preset.interpolation.value,
    )
    return FoundPreprocess(own, dict.fromkeys(_PARTS, source))


def _of_timm(network: nn.Module) -> FoundPreprocess:
    import timm

    config = timm.data.resolve_model_data_config(network)
    side = int(config["input_size"][-1])
    own = ResizeCrop(
        math.floor(side / config["crop_pct"]),
        side,
        tuple(config["mean"]),
        tuple(config["std"]),
        config["interpolation"].replace("random", "bicubic"),  # 'random' is for augmentation
        squash=config.get("crop_mode") == "squash",
    )
    named = getattr(network, "pretrained_cfg", None) or {}
    name = ".".join(filter(None, (named.get("architecture"), named.get("tag"))))
    return FoundPreprocess(
        own, dict.fromkeys(_PARTS, f"timm's pretrained_cfg{f' of {name}' if name else ''}")
    )


def _check_function(spec: str, preprocess: Preprocess) -> None:
    """Raise CmonError where a function of the user's own fails, or is random."""
    picture = trial_pictures(1)[0]
    try:
        first, second = preprocess.pixels(picture), preprocess.pixels(picture)
    except Exception as error:  # a user's function can fail in any way
        raise CmonError(
            f"--model {spec}: its attribute `preprocess` fails",
            expected="a function from a PIL image, in RGB, to a (C,H,W) tensor",
            found=f"{type(error).__name__}: {error}",
        ) from error
    if not np.array_equal(first, second, equal_nan=True):
        raise CmonError(
            f"--model {spec}: its attribute `preprocess` gives the same picture other values each time",
            hint="leave out random crops, flips and other augmentation",
        )


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _one_line(text: str) -> str:
    return " ".join(text.split())
