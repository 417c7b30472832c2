"""Class, distillation and register tokens: which tokens of a sequence are no patches of the picture.

A network says how many it has, by an attribute or by its parameters. Which positions they have is seen where the
sequence first comes together: there, they are the same for every picture.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from torch import nn

from cmon.extraction.layers.output import SpecialTokens
from cmon.extraction.layers.unit_axis import is_grid

_NAMES = {
    "class": re.compile(r"(cls|class)_(tokens?|embedding)_?\d*"),
    "distillation": re.compile(r"dist(illation)?_tokens?"),
    "register": re.compile(r"reg(ister)?_tokens?|registers"),
    "detection": re.compile(r"det(ection)?_tokens?"),
}
"""Names of the parameters that hold tokens, in timm, torchvision, Hugging Face, open_clip and the authors' code."""

Kinds = tuple[tuple[str, int], ...]


def find_special(
    network: nn.Module,
    layer: str,
    tokens: int,
    constant: Mapping[int, Sequence[int]],
    grids: Collection[int],
    square: bool,
) -> SpecialTokens:
    """The tokens of a layer's sequence that are no patches.

    tokens: the sequence's length. constant: by length, the positions that are the same for all pictures when a
    sequence of that length is first seen. grids: numbers of positions of the network's maps. square: whether the
    pictures are.
    """
    kinds = declared_tokens(network, layer)
    declared = sum(count for _, count in kinds)
    seen = tuple(constant.get(tokens, ()))
    if seen and len(seen) < tokens:
        if declared == len(seen):
            return SpecialTokens(seen, kinds)
        one = len(seen) == 1
        counted = f"{len(seen)} of them {'does' if one else 'do'} not come from the picture"
        said = (
            f"says that it has {declared}"
            if declared
            else f"does not say what {'it is' if one else 'they are'}"
        )
        return SpecialTokens(unexplained=f"{counted}, and the network {said}")
    if declared and tokens > declared and _has_prefix(tokens, declared, grids, square):
        return SpecialTokens(tuple(range(declared)), kinds)
    if is_grid(tokens, square, grids) or (seen and len(seen) == tokens):
        return SpecialTokens()
    return SpecialTokens(
        unexplained="they are not as many as a picture has patches, and what they are is not known"
    )


def declared_tokens(network: nn.Module, layer: str) -> Kinds:
    """What the smallest part of the network around a layer says of its own tokens; empty where none says anything."""
    parts = layer.split(".")
    stated: int | None = None
    for length in range(len(parts) - 1, -1, -1):
        part = network.get_submodule(".".join(parts[:length]))
        total = getattr(part, "num_prefix_tokens", None)
        if stated is None and isinstance(total, int) and not isinstance(total, bool):
            stated = total
        kinds = _named(part)
        if kinds and stated in (None, sum(count for _, count in kinds)):
            return kinds
    return (("prefix", stated),) if stated else ()


def _named(part: nn.Module) -> Kinds:
    """(kind, number) of the tokens that the part has parameters or buffers for, in the order of `_NAMES`."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, tensor in (*part.named_parameters(), *part.named_buffers()):
        shapes.setdefault(name.split(".")[-1], tuple(tensor.shape))
    found = []
    for kind, names in _NAMES.items():
        shape = next((shape for name, shape in shapes.items() if names.fullmatch(name)), None)
        if shape is not None:  # (K,), (N,K) or (1,N,K)
            found.append((kind, shape[-2] if len(shape) > 1 else 1))
    return tuple(found)


def _has_prefix(tokens: int, declared: int, grids: Collection[int], square: bool) -> bool:
    """Whether a sequence is as long as one of patches with the declared tokens, and not as one of patches alone."""
    bare, left = is_grid(tokens, square, ()), is_grid(tokens - declared, square, ())
    in_grids = tokens in grids, tokens - declared in grids
    if any(in_grids):
        return in_grids == (False, True)
    return left and not bare
