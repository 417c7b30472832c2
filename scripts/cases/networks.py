"""The networks of the case studies, for training and for `cmon extract` alike.

    cmon extract ... --model python:scripts/cases/networks.py:narrow_resnet18 --model-arg num_classes=32
    cmon extract ... --model python:scripts/cases/networks.py:named_network \\
        --model-arg name=resnet18 --model-arg num_classes=365 --model-arg side=224
"""

from __future__ import annotations

from typing import Any

import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

from cmon.images.preprocessing import ResizeCrop

NARROW = "narrow-resnet18"
"""Alone, or with a width other than 32 behind it: narrow-resnet18-16."""
WIDTH = 32
SMALL = 32
"""Pixels of a side up to which a ResNet-18's own stem would leave the last block a map of 1 x 1."""


def named_network(name: str, num_classes: int, side: int) -> nn.Module:
    """An untrained network for pictures of `side` pixels, which its attribute `preprocess` makes for `cmon extract`.

    name: narrow-resnet18, narrow-resnet18-WIDTH, or one of torchvision's.
    Raises ValueError for a name that is neither.
    """
    if name == NARROW:
        return narrow_resnet18(num_classes, side=side)
    width = name.removeprefix(f"{NARROW}-")
    if width != name and width.isdecimal() and int(width):
        return narrow_resnet18(num_classes, int(width), side)
    network: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=num_classes)
    return _with_preprocess(network, side)


def narrow_resnet18(num_classes: int, width: int = WIDTH, side: int = 64) -> nn.Module:
    """torchvision's ResNet-18 with `width` channels in layer1 in place of 64, and so on: 64, 128, 256 in layer2 to 4.

    Half the channels take about a quarter of the time. The stem keeps its 64 channels; for pictures of up to 32
    pixels it is a convolution of 3 x 3 with stride 2 and no pooling, so that layer4 has a map of 2 x 2.
    """
    network = _NarrowResNet(width, num_classes)
    if side <= SMALL:
        network.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=2, padding=1, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")  # as the others
        network.maxpool = nn.Identity()
    return _with_preprocess(network, side)


def _with_preprocess(network: nn.Module, side: int) -> nn.Module:
    attributes: Any = network  # nn.Module's annotations know only tensors and modules
    attributes.preprocess = ResizeCrop(resize=side, crop=side)
    return network


class _NarrowResNet(ResNet):
    def __init__(self, width: int, num_classes: int) -> None:
        self.width = width  # ResNet's constructor calls `_make_layer`
        super().__init__(BasicBlock, [2, 2, 2, 2])
        self.fc = nn.Linear(8 * width, num_classes)

    def _make_layer(self, block: Any, planes: int, *arguments: Any, **options: Any) -> nn.Sequential:
        made: nn.Sequential = super()._make_layer(block, planes * self.width // 64, *arguments, **options)
        return made
