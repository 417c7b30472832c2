"""Why a unit has no label: the values of the column `status`."""

from __future__ import annotations

STATUSES = {
    "ok": "scored",
    "dead": "0 for every image",
    "constant": "the same activation, not 0, for every image",
    "tied": "so many top images share one activation that which they are is arbitrary",
    "non-finite": "a NaN or an infinity among its activations",
}
"""Every status with what it means, in the order in which tables show them."""
