"""What a layout may be read for, as a sentence: each measure of its fidelity against a threshold."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from cmon.embedding.fidelity import Fidelity

ORDER_KEPT = 0.8
"""From this correlation on, an order counts as kept. Kendall's tau of 0.8: of ten pairs, nine are in the same order.
Spearman's rho of 0.8: of ten pairs, eight (for normally distributed values)."""
TRUSTWORTHY = 0.8
"""From this trustworthiness on, neighbours in the plane count as neighbours; random places have 0.5."""
STANDS_STILL = 0.05
"""Up to this share of a moving unit's step, a still unit counts as standing still."""
MIN_GROUPS = 6
"""With fewer (run, layer, epoch), tau says nothing: of four, one order in 24 is perfect by chance."""


def sentence(found: Fidelity) -> str:
    """What the plane may be read for: d_anchor, single neurons, movement and neighbourhoods.

    It says so where d_anchor's order or movement could not be measured.
    """
    return "; ".join(_verdicts(found)) + "."


def _verdicts(found: Fidelity) -> Iterable[str]:
    tau, rho = found.d_anchor, found.nearest_distance
    if np.isnan(tau) or found.groups < MIN_GROUPS:
        yield "whether d_anchor orders the epochs as CLIP space does cannot be told from so few"
    elif tau >= ORDER_KEPT:
        yield f"d_anchor orders the epochs as CLIP space does (tau {tau:.2f}): read it"
    else:
        yield f"d_anchor does not order the epochs as CLIP space does (tau {tau:.2f}): read d_anchor_clip"
    if np.isfinite(rho):
        kept = rho >= ORDER_KEPT
        yield (
            f"a single neuron's distance to its nearest anchor {'follows' if kept else 'does not follow'} CLIP space "
            f"(rho {rho:.2f}): {'read it' if kept else 'do not read it'}"
        )
        yield from _anchor_verdict(found)
    yield _movement_verdict(found)
    trust = found.trustworthiness
    if np.isfinite(trust):
        kept = trust >= TRUSTWORTHY
        yield (
            f"neighbours {'are' if kept else 'are often not'} neighbours (trustworthiness {trust:.2f}): "
            f"{'read' if kept else 'do not read'} groups"
        )


def _anchor_verdict(found: Fidelity) -> Iterable[str]:
    same, rho = found.same_anchor, found.anchor_distance
    if np.isfinite(same):
        yield (
            f"the anchor nearest to a neuron is its nearest in CLIP space for {same:.0%}: "
            f"{'read' if same >= ORDER_KEPT else 'look up'} its name"
        )
    if np.isfinite(rho) and rho < ORDER_KEPT:
        yield f"distances to other anchors are not kept (rho {rho:.2f}): do not read them"


def _movement_verdict(found: Fidelity) -> str:
    rho, still = found.displacement, found.still_step
    if np.isnan(rho):
        return "movement cannot be told"
    if not still <= STANDS_STILL and np.isfinite(still):
        return f"neurons that stand still seem to move ({still:.2f} of a step): do not read movement"
    if rho >= ORDER_KEPT:
        return f"movement follows CLIP space (rho {rho:.2f}): read it"
    return f"movement does not follow CLIP space (rho {rho:.2f}): do not read its length"
