"""One meaning of `--layer` in all commands."""

from __future__ import annotations

import pandas as pd
import pytest
from torch import nn

from cmon.extraction.layers.trace import match_layers
from cmon.workspace.layer_patterns import match_all, match_names
from cmon.workspace.selection import Choice

NAMES = ["stem", "blocks", "blocks.0", "blocks.0.act", "blocks.1", "blocks.1.act", "blocks.10", "head[0]"]


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("blocks", ["blocks"]),
        ("blocks.*", ["blocks.0", "blocks.1", "blocks.10"]),
        ("blocks.**", ["blocks.0", "blocks.0.act", "blocks.1", "blocks.1.act", "blocks.10"]),
        ("**.act", ["blocks.0.act", "blocks.1.act"]),
        ("blocks.?", ["blocks.0", "blocks.1"]),
        ("blocks.[1-9]*", ["blocks.1", "blocks.10"]),
        ("blocks.[!0].act", ["blocks.1.act"]),
        ("st?m", ["stem"]),
        ("head[0]", ["head[0]"]),  # a name comes before the pattern that it could be
        ("blocks.[", []),
        ("blocks.[9-0]", []),
        ("block", []),
        ("blocksx0", []),
        ("**", NAMES),
    ],
)
def test_what_a_pattern_matches(pattern: str, wanted: list[str]) -> None:
    assert match_names(pattern, NAMES) == wanted


def test_many_patterns_give_each_name_once_in_order_and_say_which_match_none() -> None:
    assert match_all(["blocks.1", "nothing.*", "st*", "blocks.?"], NAMES) == (
        ["stem", "blocks.0", "blocks.1"],
        ["nothing.*"],
    )


@pytest.mark.parametrize("pattern", ["*", "**", "0.*", "0.?", "*.1", "[0]", "0.[!0]"])
def test_extract_and_embed_understand_the_same(pattern: str) -> None:
    network = nn.Sequential(nn.Sequential(nn.ReLU(), nn.ReLU()), nn.Sequential(nn.ReLU()), nn.ReLU())
    names = [name for name, _ in network.named_modules() if name]
    scored = pd.DataFrame({"run": "a", "layer": names, "epoch": 0.0})
    assert match_layers(network, [pattern]) == list(Choice(layers=(pattern,)).of(scored)["layer"])
