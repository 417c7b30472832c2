"""Which tokens are patches, in the networks of timm and of Hugging Face, and that a name alone proves nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cmon.extraction.layers.output import SpecialTokens
from cmon.extraction.layers.recording import record_activations
from cmon.extraction.layers.tokens import find_special
from cmon.extraction.layers.trace import trace
from tests.support.layer_cases import Vit


def images(side: int) -> Tensor:
    return torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(0))


def small(name: str, **more: object) -> nn.Module:
    import timm

    torch.manual_seed(0)
    return timm.create_model(name, pretrained=False, img_size=56, depth=2, **more).eval()


@pytest.mark.parametrize(
    ("name", "more", "layer", "said", "left_out"),
    [
        ("vit_tiny_patch16_224", {"patch_size": 14}, "blocks.1", "16 of 17 tokens; 1 class token left out", 1),
        ("deit_tiny_distilled_patch16_224", {"patch_size": 14}, "blocks.0.mlp.act",
         "16 of 18 tokens; 1 class and 1 distillation tokens left out", 2),
        ("vit_small_patch14_reg4_dinov2", {}, "blocks.0",
         "16 of 21 tokens; 1 class and 4 register tokens left out", 5),
        ("vit_small_patch14_reg4_dinov2", {}, "patch_embed", "16 tokens", 0),
        ("vit_small_patch14_reg4_dinov2", {}, "norm", "16 of 21 tokens; 1 class and 4 register tokens left out", 5),
        ("cait_xxs24_224", {"patch_size": 14, "depth_token_only": 1}, "blocks.0", "16 tokens", 0),
        ("cait_xxs24_224", {"patch_size": 14, "depth_token_only": 1}, "blocks_token_only.0", "1 token", 0),
        ("beit_base_patch16_224", {"patch_size": 14, "embed_dim": 24, "num_heads": 2}, "blocks.0",
         "16 of 17 tokens; 1 class token left out", 1),
    ],
)  # fmt: skip
def test_tokens_of_timms_networks(
    name: str, more: dict[str, object], layer: str, said: str, left_out: int
) -> None:
    network = small(name, **more)
    (output,) = trace(network, [layer], images(56))
    assert output.pooled("avg") == said
    kept: list[Tensor] = []
    handle = network.get_submodule(layer).register_forward_hook(lambda _m, _i, value: kept.append(value))
    with torch.no_grad():
        network(images(56))
    handle.remove()
    with record_activations(network, [output], "max") as record:
        torch.testing.assert_close(record(images(56))[layer], kept[0][:, left_out:].max(1).values)
    with record_activations(network, [output], "avg") as record:
        found = record(images(56))[layer]
    torch.testing.assert_close(found, sum(kept[0][:, left_out:].unbind(1)) / (kept[0].shape[1] - left_out))
    if left_out:  # a negative control: the tokens left out would have counted
        assert not torch.allclose(found, kept[0].mean(1))


def test_the_class_token_is_taken_where_it_stands() -> None:
    network = Vit({"cls_token": 1}, behind=True).eval()
    (output,) = trace(network, ["blocks.1"], images(32))
    assert output.special == SpecialTokens((16,), (("class", 1),))
    with record_activations(network, [output], "cls") as record, torch.no_grad():
        found = record(images(32))["blocks.1"]
        wanted = network.blocks(
            torch.cat([network.patches(images(32)), network.cls_token.expand(3, -1, -1)], 1) + network.place
        )
    torch.testing.assert_close(found, wanted[:, 16], atol=1e-5, rtol=1e-4)


class Pooled(nn.Module):
    """Its parameter is named as a class token, but the sequence that its layer gives has none."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = Vit({"cls_token": 1})
        self.pool, self.mix = nn.Linear(17, tokens), nn.Linear(12, 12)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.body.patches(images)
        tokens = torch.cat([self.body.cls_token.expand(len(images), -1, -1), tokens], 1) + self.body.place
        tokens = self.body.blocks(tokens).transpose(1, 2)
        return self.mix(self.pool(tokens).transpose(1, 2)).mean(1)


@pytest.mark.parametrize(("tokens", "said"), [(9, "9 tokens"), (7, "all 7 tokens")])
def test_a_parameter_named_class_token_proves_nothing_behind_a_pooling(tokens: int, said: str) -> None:
    (output,) = trace(Pooled(tokens).eval(), ["mix"], images(32))
    assert output.pooled("avg").startswith(said)
    assert output.special.positions == ()


def test_tokens_without_a_name_are_counted_and_said() -> None:
    network = nn.Module()
    assert find_special(network, "x", 16, {}, (), True) == SpecialTokens()
    assert find_special(network, "x", 18, {}, (), True).unexplained is not None
    assert find_special(network, "x", 18, {}, {18}, True) == SpecialTokens(), (
        "a grid of a picture that is not square"
    )
    assert find_special(network, "x", 5, {5: range(5)}, (), True) == SpecialTokens(), (
        "learned queries, all of them"
    )


def test_numbers_that_disagree_are_said_and_all_tokens_counted() -> None:
    network = nn.Module()
    network.register_parameter("cls_token", nn.Parameter(torch.zeros(1, 1, 4)))
    network.add_module("x", nn.Identity())
    found = find_special(network, "x", 19, {19: (0, 1, 2)}, (), True)
    assert found.positions == ()
    assert found.unexplained == "3 of them do not come from the picture, and the network says that it has 1"


@pytest.mark.parametrize(
    ("kind", "more", "layer", "said"),
    [
        ("ViT", {}, 0, "16 of 17 tokens; 1 class token left out"),
        ("DeiT", {}, 1, "16 of 18 tokens; 1 class and 1 distillation tokens left out"),
        ("Dinov2WithRegisters", {"num_register_tokens": 4}, 0,
         "16 of 21 tokens; 1 class and 4 register tokens left out"),
        ("SiglipVision", {}, 1, "16 tokens"),
    ],
)  # fmt: skip
def test_tokens_of_hugging_faces_networks(kind: str, more: dict[str, int], layer: int, said: str) -> None:
    transformers = pytest.importorskip("transformers")
    config = getattr(transformers, f"{kind}Config")(
        image_size=56, patch_size=14, hidden_size=12, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=16, **more,
    )  # fmt: skip
    network = getattr(transformers, f"{kind}Model")(config).eval()
    name = next(
        name for name, _ in network.named_modules() if name.endswith((f"layer.{layer}", f"layers.{layer}"))
    )
    (output,) = trace(network, [name], images(56))
    assert output.pooled("avg") == said
