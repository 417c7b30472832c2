"""Which layer a report is about where it speaks of one: the last that is no classification head, unless asked."""

from __future__ import annotations

import pandas as pd

from cmon.errors import CmonError, nearest_names

_HEAD_NAMES = {
    "fc",
    "head",
    "heads",
    "head_dist",
    "linear",
    "last_linear",
    "logits",
    "output",
    "out",
    "predictions",
}
"""Last parts of the names that torchvision, timm and Hugging Face give to the layer that tells the classes."""


def main_layer(units: pd.DataFrame, shards: pd.DataFrame, asked: str | None) -> str:
    """The layer that headlines, tracked units and the comparison of runs are of; every figure and table has them all.

    units, shards: the tables of those names. asked: a layer's name, or None for the last one that is no head.
    Raises CmonError if there is no such layer.
    """
    layers = [str(layer) for layer in units["layer"].unique()]
    if asked is None:
        return next((layer for layer in reversed(layers) if layer not in heads(layers, shards)), layers[-1])
    if asked not in layers:
        raise CmonError(
            f"--main-layer {asked}: the workspace has no layer {asked!r}",
            expected="one of " + ", ".join(layers),
            found=asked,
            hint=nearest_names(asked, layers),
        )
    return asked


def heads(layers: list[str], shards: pd.DataFrame) -> list[str]:
    """The last layer, if it tells the classes: its output is flat, and it is called so or narrows the layer before.

    A head's units are the classes, not what the network found to tell them: ten of them say little of 512 before.
    A flat layer as wide as the one before it, or a network's only layer, is none. shards: the table of that name; of
    the layers that are not in it nothing is known.
    """
    known = shards.drop_duplicates("layer").set_index("layer")[["axes", "units"]]
    if len(layers) < 2 or layers[-1] not in known.index or known.loc[layers[-1], "axes"] != "flat":
        return []
    *_, before, last = layers
    named = last.rpartition(".")[2] in _HEAD_NAMES
    narrows = before in known.index and known.loc[last, "units"] < known.loc[before, "units"]
    return [last] if named or narrows else []


def own_layer(layers: list[str], main: str) -> str:
    """Of a run's layers: the main one, or its last where it has not that."""
    return main if main in layers else layers[-1]
