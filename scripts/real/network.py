"""The trial's network: a ResNet-18 for small pictures, which a processor trains in minutes.

    cmon extract ... --model python:scripts/real/network.py:small_resnet18 --model-arg num_classes=10

A ResNet-18's own stem leaves a picture of 32 pixels a map of 8 x 8 and the last block one of 1 x 1. This one leaves
16 x 16 and 2 x 2, with half as many channels in every block: 64, 128 and 256 units in layer2, layer3 and layer4.
"""

from __future__ import annotations

from typing import Any

from timm.models.resnet import BasicBlock, ResNet
from torch import nn

from cmon.images.preprocessing import ResizeCrop

PREPROCESS = ResizeCrop(resize=32, crop=32)
"""Of training and of extraction: the shorter side to 32 pixels, ImageNet's mean and std."""


def small_resnet18(num_classes: int) -> nn.Module:
    """Untrained, all residual branches on: a first convolution of 3 x 3, stride 2, and no max pooling.

    Its attribute `preprocess` is for `cmon extract`.
    """
    builder: Any = ResNet  # its annotations ask for a block where it takes a block's class
    network = builder(
        BasicBlock,
        (2, 2, 2, 2),
        num_classes=num_classes,
        channels=(32, 64, 128, 256),
        zero_init_last=False,
    )
    network.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=2, padding=1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")  # as timm's others
    network.maxpool = nn.Identity()
    network.preprocess = PREPROCESS
    return network
