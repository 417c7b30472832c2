import pandas as pd
import pytest

from cmon.errors import CmonError
from cmon.reporting.layers import heads, main_layer, own_layer

Layers = list[tuple[str, str, int]]
CONV = [("layer3", "channels first", 256), ("layer4", "channels first", 512)]
"""name, axes, units."""


def shards(layers: Layers) -> pd.DataFrame:
    """Rows at two epochs."""
    rows = [(epoch, *layer) for epoch in (0.0, 1.0) for layer in layers]
    return pd.DataFrame(rows, columns=["epoch", "layer", "axes", "units"])


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        ([*CONV, ("fc", "flat", 10)], ["fc"]),
        ([*CONV, ("fc", "flat", 1000)], ["fc"]),  # wider than what it reads
        ([("blocks.11", "tokens", 192), ("heads.head", "flat", 1000)], ["heads.head"]),
        ([("classifier.3", "flat", 4096), ("classifier.6", "flat", 1000)], ["classifier.6"]),
        ([("classifier.0", "flat", 4096), ("classifier.3", "flat", 4096)], []),  # hidden
        (CONV, []),
        ([("fc", "flat", 10)], []),  # there is no other
        ([("fc", "flat", 10), *CONV], []),  # not the last
        ([*CONV, ("global_pool", "flat", 512)], []),
    ],
)
def test_a_head_is_told_from_the_network(layers: Layers, found: list[str]):
    assert heads([name for name, *_ in layers], shards(layers)) == found


def test_a_head_leads_only_if_asked():
    table = shards([*CONV, ("fc", "flat", 10)])
    assert main_layer(table, table, None) == "layer4"
    assert main_layer(table, table, "fc") == "fc"
    assert main_layer(table[table["layer"] == "fc"], table, None) == "fc"
    with pytest.raises(CmonError, match="did you mean 'layer"):
        main_layer(table, table, "layer5")


def test_a_run_without_the_main_layer_is_spoken_of_by_its_last():
    assert own_layer(["layer3", "layer4", "fc"], "layer4") == "layer4"
    assert own_layer(["layer2", "layer3"], "layer4") == "layer3"
