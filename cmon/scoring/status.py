"""Why a unit has no label: its status, and how many units have which.

Only a unit with the status 'ok' is scored. All others would get a label too, by chance.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from cmon.workspace.keys import GROUP, epoch_text
from cmon.workspace.status import STATUSES

logger = logging.getLogger(__name__)

CROWDED = 1 / 3
"""Share of a layer's units under one label above which it is warned of."""


def unit_statuses(
    finite: np.ndarray, least: np.ndarray, largest: np.ndarray, top_values: np.ndarray | None
) -> np.ndarray:
    """(K,) str: each unit's status, the first that holds of 'non-finite', 'dead', 'constant', 'tied' and 'ok'.

    finite: (K,) bool, whether all activations of a unit are finite numbers. least, largest: (K,), of all images; of
    units that are not finite, they do not count. top_values: (K, top_k), each unit's largest in falling order, or None
    if its label does not depend on which images are on top: then it is never 'tied'.
    'dead': 0 for every image, as a ReLU makes of a unit that no image activates; where a bias or a normalization
    follows, such a unit is 'constant'. 'tied': more than half of its top images share one activation (a ReLU unit
    that a few images activate, and that is 0 for all others).
    """
    tied = np.zeros(len(finite), dtype=bool)
    if top_values is not None:
        # In falling order, a tie of more than half covers the middle: count the middle value.
        middle = top_values[:, top_values.shape[1] // 2, None]
        alike = (top_values == middle).sum(axis=1)
        tied = (alike > top_values.shape[1] / 2) & (alike > 1)
    same = largest == least
    return np.select(
        [~finite, same & (largest == 0), same, tied], ["non-finite", "dead", "constant", "tied"], default="ok"
    )


def count_units(units: pa.Table) -> dict[str, Any]:
    """Of the table `units` of one run, layer and epoch: counts as a row of the table `scores` has them.

    How many units there are, how many have each status and are interpretable, the most frequent label of the
    interpretable ones (of equally frequent labels the first by name), and the layer's overlap.
    """
    frame = units.select([*GROUP, "status", "label", "interpretable", "shared"]).to_pandas()
    overlap = frame["shared"].mean()
    labels = frame.loc[frame["interpretable"], "label"].value_counts()
    label = min(labels.index[labels == labels.max()], default=None)
    return {
        **frame.iloc[0][GROUP].to_dict(),
        "units": len(frame),
        **{status: int((frame["status"] == status).sum()) for status in STATUSES},
        "interpretable": int(labels.sum()),
        "most frequent label": label,
        "its units": int(labels.max()) if label else 0,
        "overlap": None if np.isnan(overlap) else float(overlap),
    }


def warn_of_one_label(layers: Sequence[Mapping[str, Any]]) -> None:
    """Warn of layers with one label on over a third of the units, and say how far their units share top images.

    layers: rows of the table `scores`. Such a layer answers to one thing, and its label counts as one finding, not as
    many; whether that is the network's doing or chance, the overlap says.
    """
    crowded = [row for row in layers if row["its units"] > CROWDED * row["units"] and row["its units"] > 1]
    if not crowded:
        return
    crowded.sort(key=lambda row: row["its units"] / row["units"], reverse=True)
    shown = [
        f"{row['most frequent label']!r} on {row['its units']} of {row['units']} units of {row['layer']} of "
        f"{row['run']} at epoch {epoch_text(row['epoch'])}, which share {row['overlap']:.0%} of their top images "
        f"(chance {row['overlap by chance']:.0%})"
        for row in crowded[:3]
    ]
    logger.warning(
        "one label on over a third of a layer, in %d of %d layers and epochs: %s%s: count it as one finding",
        len(crowded),
        len(layers),
        "; ".join(shown),
        "; ..." if len(crowded) > 3 else "",
    )
