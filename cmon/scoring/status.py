"""Why a unit has no label: its status, and how many units have which.

Only a unit with the status 'ok' is scored. All others would get a label too, by chance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from cmon.workspace.keys import GROUP
from cmon.workspace.status import STATUSES


def unit_statuses(activations: np.ndarray, top_values: np.ndarray | None) -> np.ndarray:
    """(K,) str: each unit's status, the first that holds of 'non-finite', 'dead', 'constant', 'tied' and 'ok'.

    activations: (N,K); top_values: (K, top_k), each unit's largest in falling order, or None if its label does
    not depend on which images are on top: then it is never 'tied'.
    'dead': 0 for every image, as a ReLU makes of a unit that no image activates; where a bias or a normalization
    follows, such a unit is 'constant'. 'tied': more than half of its top images share one activation (a ReLU unit
    that a few images activate, and that is 0 for all others).
    """
    finite = np.isfinite(activations).all(axis=0)
    largest, least = activations.max(axis=0), activations.min(axis=0)
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

    How many units there are, how many have each status and are interpretable, and the most frequent label of the
    interpretable ones; of equally frequent labels the first by name.
    """
    frame = units.select([*GROUP, "status", "label", "interpretable"]).to_pandas()
    labels = frame.loc[frame["interpretable"], "label"].value_counts()
    label = min(labels.index[labels == labels.max()], default=None)
    return {
        **frame.iloc[0][GROUP].to_dict(),
        "units": len(frame),
        **{status: int((frame["status"] == status).sum()) for status in STATUSES},
        "interpretable": int(labels.sum()),
        "most frequent label": label,
        "its units": int(labels.max()) if label else 0,
    }
