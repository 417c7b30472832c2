"""Small networks, and how cmon reads one of their layers or why it refuses to.

The tests run every case; the page docs/reference/layers.md shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torchvision
from torch import Tensor, nn


@dataclass(frozen=True)
class LayerCase:
    """A layer of a network, and what is expected of it."""

    what: str
    """In words, for the documentation."""
    make: Callable[[], nn.Module]
    layer: str
    reads: str | None = None
    """How it is read: axes, then what is pooled; None where it is refused."""
    refuses: str | None = None
    """A part of the sentence that refuses it; None where it is read."""
    side: int = 32
    """Of the square pictures, in pixels."""
    value: Callable[[nn.Module, Tensor], Tensor] | None = None
    """The activations (K,) of one picture (1,3,H,W), computed literally; None where the layer's output is enough."""


class Between(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, value: Tensor) -> Any:
        return self.function(value)


def chain(*parts: nn.Module | Callable[[Tensor], Any]) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*[part if isinstance(part, nn.Module) else Between(part) for part in parts])


def part(network: nn.Module, number: int) -> nn.Module:
    return network.get_submodule(str(number))


def patches(width: int = 12, patch: int = 8) -> nn.Module:
    """(B,3,H,W) to (B,T,width)."""
    return nn.Sequential(
        nn.Conv2d(3, width, patch, patch), Between(lambda maps: maps.flatten(2).transpose(1, 2))
    )


class Vit(nn.Module):
    """Patches, tokens of its own before or behind them, and transformer layers."""

    def __init__(
        self,
        tokens: dict[str, int] | None = None,
        behind: bool = False,
        batch_first: bool = True,
        named: bool = True,
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.behind, self.batch_first, self.mean = patches(), behind, batch_first, True
        tokens = tokens or {}
        self.names = [name if named else f"extra_{name}" for name in tokens]
        for name, count in zip(self.names, tokens.values(), strict=True):
            setattr(self, name, nn.Parameter(torch.randn(1, count, 12)))
        self.place = nn.Parameter(torch.randn(1, 16 + sum(tokens.values()), 12))
        self.blocks = nn.Sequential(
            *[nn.TransformerEncoderLayer(12, 2, 24, batch_first=batch_first, dropout=0.1) for _ in range(2)]
        )
        self.head: nn.Module = nn.Linear(12, 5)

    def until_blocks(self) -> nn.Module:
        """The same, ending before the head."""
        self.head, self.mean = nn.Identity(), False
        return self

    def forward(self, images: Tensor) -> Tensor:
        own = [getattr(self, name).expand(len(images), -1, -1) for name in self.names]
        found = [self.patches(images)]
        tokens = torch.cat(found + own if self.behind else own + found, dim=1) + self.place
        tokens = self.blocks(tokens if self.batch_first else tokens.transpose(0, 1))
        return self.head(tokens.mean(1 if self.batch_first else 0) if self.mean else tokens)


class Twice(nn.Module):
    """One layer at two places."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.shared = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3)
        self.again = self.shared

    def forward(self, images: Tensor) -> Tensor:
        return self.again(self.shared(self.stem(images)).relu())


class Looping(nn.Module):
    """One picture after the other."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one = nn.Conv2d(3, 6, 3)

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([self.one(image[None]) for image in images])


class Stubborn(nn.Module):
    """Catches every Exception of its blocks."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.block = nn.Conv2d(3, 6, 3), nn.Sequential(nn.Conv2d(6, 6, 3), nn.ReLU())

    def forward(self, images: Tensor) -> Tensor:
        maps = self.stem(images)
        try:
            return self.block(maps)
        except Exception:
            return maps


class Windows(nn.Module):
    """Attention in windows of 2x2 patches, which lie in the batch axis inside."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.inner = nn.Conv2d(3, 12, 8, 8), nn.Linear(12, 12)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.patches(images)
        windows = maps.unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 4, 5, 1).reshape(-1, 4, 12)
        return self.inner(windows).reshape(len(images), -1, 12).mean(1)


class LeNet(nn.Module):
    """`view` behind a convolution."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = nn.Conv2d(3, 6, 5, stride=4), nn.Linear(294, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.conv(images).view(len(images), -1))


class Batched(nn.Module):
    """BatchNorm that is always in training mode."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.relu = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        return self.relu(self.norm.train()(self.conv(images)))


def fixed(*layers: nn.Module | Callable[[Tensor], Any]) -> nn.Sequential:
    """Behind a part that takes one size of pictures only, so that a larger picture shows nothing."""
    return chain(nn.Conv2d(3, 12, 8, 8), lambda maps: maps + torch.zeros(1, 1, 4, 4), *layers)


def compiled() -> nn.Module:
    return torch.compile(chain(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3)))  # type: ignore[return-value]


def with_hook() -> nn.Module:
    network = chain(nn.Conv2d(3, 6, 3), nn.ReLU())
    part(network, 0).register_forward_hook(lambda _module, _inputs, output: output * 2)
    return network


def attention(batch_first: bool) -> nn.Module:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.patches, self.attend = patches(), nn.MultiheadAttention(12, 2, batch_first=batch_first)

        def forward(self, images: Tensor) -> Tensor:
            tokens = self.patches(images)
            tokens = tokens if batch_first else tokens.transpose(0, 1)
            return self.attend(tokens, tokens, tokens)[0]

    return Attends()


def recurrent(kind: type[nn.LSTM] | type[nn.GRU], batch_first: bool) -> nn.Module:
    def rows(images: Tensor) -> Tensor:
        found = images.permute(0, 2, 1, 3).flatten(2)
        return found if batch_first else found.transpose(0, 1)

    return chain(rows, kind(96, 7, batch_first=batch_first))


MAP = "channels first"
CASES = [
    # -- maps
    LayerCase("a convolution's maps", lambda: chain(nn.Conv2d(3, 6, 3)), "0", f"{MAP}: 30x30 positions"),
    LayerCase(
        "maps that have as many channels as rows", lambda: chain(nn.Conv2d(3, 30, 3), nn.ReLU()), "1",
        f"{MAP}: 30x30 positions",
    ),
    LayerCase(
        "maps that are not square, with as many channels as rows",
        lambda: chain(nn.Conv2d(3, 30, (3, 5)), nn.ReLU()), "1", f"{MAP}: 30x28 positions",
    ),
    LayerCase(
        "maps with the units last", lambda: chain(nn.Conv2d(3, 6, 3), lambda maps: maps.permute(0, 2, 3, 1)), "1",
        "channels last: 30x30 positions",
    ),
    LayerCase(
        "maps with the units last, as many as rows and columns",
        lambda: chain(nn.Conv2d(3, 30, 3), lambda maps: maps.permute(0, 2, 3, 1)), "1",
        "channels last: 30x30 positions",
    ),
    LayerCase(
        "maps with as many units as rows and columns, where pictures have one size",
        lambda: fixed(nn.Conv2d(12, 4, 1), lambda maps: maps.permute(0, 2, 3, 1)),
        "3", refuses="cannot tell which axis of its output holds the units",
    ),
    LayerCase(
        "maps with as many units as rows and columns, of one size, from a convolution itself",
        lambda: fixed(nn.Conv2d(12, 4, 1)), "2",
        f"{MAP}: 4x4 positions",
    ),
    LayerCase(
        "positions pooled to one", lambda: chain(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(1)), "1",
        f"{MAP}: 1x1 position",
    ),
    LayerCase("maps of positions in a row", lambda: chain(nn.Conv2d(3, 6, 3), nn.Flatten(2)), "1",
              f"{MAP}: 900 positions"),
    LayerCase(
        "a one-dimensional convolution", lambda: chain(nn.Flatten(2), nn.Conv1d(3, 6, 3), nn.ReLU()), "2",
        f"{MAP}: 1022 positions",
    ),
    LayerCase(
        "maps that a layer in place changes behind it", lambda: chain(nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True)), "0",
        f"{MAP}: 30x30 positions",
        value=lambda network, image: part(network, 0)(image).mean((2, 3))[0],
    ),
    LayerCase("`view` behind a convolution, which fails channels-last", LeNet, "conv", f"{MAP}: 7x7 positions"),
    LayerCase("heads, tokens and units",
              lambda: chain(patches(), lambda tokens: tokens.unflatten(2, (3, 4)).transpose(1, 2)),
              "1", refuses="cannot tell which axis"),
    LayerCase("maps in depth, of five axes", lambda: chain(lambda x: x[:, None], nn.Conv3d(1, 4, (3, 3, 3))), "1",
              refuses="cannot tell which axis"),
    # -- flat
    LayerCase("one number for each unit", lambda: chain(nn.Flatten(), nn.Linear(3072, 7)), "1", "flat: as it is"),
    LayerCase(
        "one number for each unit, which a layer in place changes behind it",
        lambda: chain(nn.Flatten(), nn.Linear(3072, 7), nn.Hardswish(inplace=True), nn.Linear(7, 3)), "1",
        "flat: as it is",
        value=lambda network, image: part(network, 1)(part(network, 0)(image))[0],
    ),
    LayerCase(
        "positions squeezed away, where one picture alone would lose its axis, too",
        lambda: chain(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(1), lambda maps: maps.squeeze()), "2",
        "flat: as it is",
        value=lambda network, image: network(image),
    ),
    LayerCase("one number for each picture", lambda: chain(lambda x: x.mean((1, 2, 3))), "0",
              refuses="no axis of units"),
    # -- tokens
    LayerCase("tokens, all of them patches", Vit, "blocks.0", "tokens: 16 tokens"),
    LayerCase("a class token", lambda: Vit({"cls_token": 1}), "blocks.0",
              "tokens: 16 of 17 tokens; 1 class token left out"),
    LayerCase(
        "a class and register tokens", lambda: Vit({"cls_token": 1, "reg_token": 4}), "blocks.1",
        "tokens: 16 of 21 tokens; 1 class and 4 register tokens left out",
    ),
    LayerCase(
        "class and distillation tokens", lambda: Vit({"cls_token": 1, "dist_token": 1}), "blocks.0",
        "tokens: 16 of 18 tokens; 1 class and 1 distillation tokens left out",
    ),
    LayerCase(
        "register tokens behind the patches", lambda: Vit({"register_tokens": 4}, behind=True), "blocks.1",
        "tokens: 16 of 20 tokens; 4 register tokens left out",
    ),
    LayerCase(
        "tokens that the network does not name", lambda: Vit({"query": 2}, named=False), "blocks.0",
        "tokens: all 18 tokens; 2 of them do not come from the picture, and the network does not say what they are",
    ),
    LayerCase("a layer before the class token", lambda: Vit({"cls_token": 1}), "patches", "tokens: 16 tokens"),
    LayerCase(
        "a class token, in torchvision's ViT",
        lambda: torchvision.models.VisionTransformer(32, 8, 2, 2, 12, 16, num_classes=5),
        "encoder.layers.encoder_layer_0",
        "tokens: 16 of 17 tokens; 1 class token left out",
    ),
    LayerCase("as many units as patches, behind a linear layer",
              lambda: chain(Vit({"cls_token": 1}).until_blocks(), nn.Linear(12, 16), nn.GELU(), nn.Linear(16, 3)), "2",
              "tokens: 16 of 17 tokens; 1 class token left out"),
    LayerCase("tokens, batch, units (batch_first=False)", lambda: Vit({"cls_token": 1}, batch_first=False), "blocks.1",
              "tokens: 16 of 17 tokens; 1 class token left out"),
    LayerCase("nn.MultiheadAttention, of whose tuple the attention's output is read", lambda: attention(True), "attend",
              "tokens: 16 tokens"),
    LayerCase("nn.MultiheadAttention with batch_first=False", lambda: attention(False), "attend", "tokens: 16 tokens"),
    LayerCase("nn.LSTM, of which the sequence is read", lambda: recurrent(nn.LSTM, True), "1",
              "tokens: all 32 tokens; they are not as many as a picture has patches, and what they are is not known"),
    LayerCase("nn.GRU with batch_first=False", lambda: recurrent(nn.GRU, False), "1",
              "tokens: all 32 tokens; they are not as many as a picture has patches, and what they are is not known"),
    # -- the batch
    LayerCase("windows of attention, which lie in the batch axis", Windows, "inner",
              refuses="no axis of its output counts pictures: axis 0 has 4 entries for each"),
    LayerCase("the layer around windows of attention", lambda: chain(Windows()), "0", "flat: as it is"),
    LayerCase("batch folded into another axis", lambda: chain(lambda x: x.transpose(0, 1).flatten(1, 2)), "0",
              refuses="no axis of its output counts pictures: axis 1 has 32 entries for each"),
    LayerCase("the batch in the last axis", lambda: chain(nn.Flatten(), nn.Linear(3072, 7), lambda x: x.T), "2",
              "flat: as it is", value=lambda network, image: part(network, 1)(part(network, 0)(image))[0]),
    LayerCase("pictures compared with each other", lambda: chain(nn.Flatten(), lambda x: x @ x.T), "1",
              refuses="more than one axis of its output is as long as the batch"),
    LayerCase("an output that does not depend on the batch", lambda: chain(lambda x: x.mean(0)), "0",
              refuses="no axis of its output counts pictures"),
    LayerCase("one picture after the other", Looping, "one", refuses="runs 2 times for 2 pictures and 3 times for 3"),
    LayerCase("BatchNorm in training mode", Batched, "norm", refuses="change with the other pictures of its batch"),
    LayerCase("pictures in another order",
              lambda: chain(nn.Conv2d(3, 6, 3), lambda maps: torch.cat([maps[:1], maps[1:].flip(0)])),
              "1", refuses="change with the other pictures of its batch"),
    LayerCase("the layer before a BatchNorm in training mode", Batched, "conv", f"{MAP}: 30x30 positions"),
    LayerCase("BatchNorm without running statistics",
              lambda: chain(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, track_running_stats=False)), "1",
              refuses="change with the other pictures of its batch"),
    LayerCase("dropout that evaluation mode does not turn off",
              lambda: chain(nn.Conv2d(3, 6, 3), lambda maps: nn.functional.dropout(maps, 0.5)), "1",
              refuses="gives the same picture other values each time"),
    LayerCase("dropout that evaluation mode turns off", lambda: chain(nn.Conv2d(3, 6, 3), nn.Dropout(0.5)), "1",
              f"{MAP}: 30x30 positions"),
    # -- outputs
    LayerCase("a tuple, list or dict with one tensor",
              lambda: chain(nn.Conv2d(3, 6, 3), lambda maps: {"out": maps}), "1",
              f"{MAP}: 30x30 positions"),
    LayerCase("a tuple of two tensors", lambda: chain(nn.Conv2d(3, 6, 3), lambda maps: (maps, maps.mean())), "1",
              refuses="its output is not one tensor"),
    LayerCase("a dict with `last_hidden_state`",
              lambda: chain(patches(), lambda x: {"last_hidden_state": x, "pooler_output": x[:, 0]}), "1",
              "tokens: 16 tokens", value=lambda network, image: part(network, 0)(image).mean(1)[0]),
    LayerCase("complex numbers", lambda: chain(torch.fft.fft2), "0", refuses="its output is of type complex64"),
    LayerCase("whole numbers", lambda: chain(nn.Conv2d(3, 6, 3), lambda maps: maps.argmax(1)), "1",
              refuses="its output is of type int64"),
    LayerCase("an empty output", lambda: chain(lambda x: x.flatten(1)[:, :0]), "0", refuses="its output is empty"),
    LayerCase("a sparse output", lambda: chain(nn.Flatten(), lambda x: x.to_sparse()), "1",
              refuses="its output is sparse"),
    LayerCase("NaN for every picture", lambda: chain(nn.Conv2d(3, 6, 3), lambda maps: maps * torch.nan), "1",
              f"{MAP}: 30x30 positions"),
    # -- modules
    LayerCase("a layer that runs twice", Twice, "shared", f"{MAP}: 26x26 positions"),
    LayerCase("the second name of a layer that has two", Twice, "again",
              refuses="is the same module as shared, under a second name"),
    LayerCase("a list of layers", lambda: nn.ModuleDict({"a": Listed()})["a"], "layers",
              refuses="does not run in a forward pass: it is a list of layers"),
    LayerCase("an auxiliary head, which evaluation mode leaves out",
              lambda: torchvision.models.googlenet(num_classes=3, init_weights=False), "aux1",
              refuses="does not run in a forward pass in evaluation mode", side=64),
    LayerCase("the head beside auxiliary ones",
              lambda: torchvision.models.googlenet(num_classes=3, init_weights=False), "fc",
              "flat: as it is", side=64),
    LayerCase("nn.Identity", lambda: chain(nn.Conv2d(3, 6, 3), nn.Identity()), "1", f"{MAP}: 30x30 positions"),
    LayerCase("a network in torch.nn.DataParallel", lambda: nn.DataParallel(chain(nn.Conv2d(3, 6, 3))), "0",
              f"{MAP}: 30x30 positions"),
    LayerCase("a network in torch.compile", compiled, "0", f"{MAP}: 30x30 positions"),
    LayerCase("a network that catches every exception", Stubborn, "block.0", f"{MAP}: 28x28 positions"),
    LayerCase("a layer with a hook of its own, whose output counts", with_hook, "0", f"{MAP}: 30x30 positions",
              value=lambda network, image: part(network, 0)(image).mean((2, 3))[0]),
]  # fmt: skip


class Listed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList([nn.Conv2d(3, 6, 3), nn.ReLU()])

    def forward(self, images: Tensor) -> Tensor:
        for layer in self.layers:
            images = layer(images)
        return images
