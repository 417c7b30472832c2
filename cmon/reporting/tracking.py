"""Which units a report tracks through training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cmon.errors import CmonError, nearest_names
from cmon.reporting.layers import own_layer
from cmon.workspace.keys import UNIT_KEYS


@dataclass(frozen=True)
class TrackedUnit:
    """A unit that is tracked in every run that has it."""

    layer: str
    unit: int
    reason: str
    """Why this one, as a phrase for the caption."""

    @property
    def name(self) -> str:
        return f"{self.layer}:{self.unit}"

    @property
    def sentence(self) -> str:
        """The reason as a sentence."""
        return f"{self.reason[:1].upper()}{self.reason[1:]}."


def requested(units: pd.DataFrame, wanted: Sequence[tuple[str, int]]) -> list[TrackedUnit]:
    """The units that the user asked for.

    Raises CmonError if no run has such a layer, or the layer such a unit.
    """
    for layer, unit in wanted:
        own = units.loc[units["layer"] == layer, "unit"]
        if own.empty:
            known = units["layer"].unique()
            raise CmonError(
                f"--track {layer}:{unit}: the workspace has no layer {layer!r}",
                expected="one of " + ", ".join(known),
                found=layer,
                hint=nearest_names(layer, known),
            )
        if unit not in set(own):
            raise CmonError(
                f"--track {layer}:{unit}: {layer} has no unit {unit}",
                expected=f"a unit from {own.min()} to {own.max()}",
                found=str(unit),
            )
    return [TrackedUnit(layer, unit, "asked for") for layer, unit in dict.fromkeys(wanted)]


def choose(units: pd.DataFrame, layout: pd.DataFrame, main: str) -> list[TrackedUnit]:
    """Up to three units of the main layer that show what training does, by the first run with live units.

    The one with the longest trajectory in the plane; the one with one significant label at most epochs; the one
    that changed its significant label most often. Only units live at as many epochs as any are considered.
    With one epoch nothing moves: then the three most significant.

    units, layout: the tables of those names in the order of `keys.sort_rows`, layout's units only.
    """
    live = units[units["status"] == "ok"].merge(layout[[*UNIT_KEYS, "x", "y"]], on=UNIT_KEYS)
    if live.empty:
        return []
    run = next(name for name in units["run"].unique() if name in set(live["run"]))
    own = live[live["run"] == run]
    layer = own_layer([name for name in units["layer"].unique() if name in set(own["layer"])], main)
    own = own[own["layer"] == layer]
    if own["epoch"].nunique() == 1:
        best = own.sort_values(["p_value", "score"], ascending=[True, False])["unit"][:3]
        return [TrackedUnit(layer, int(unit), f"among the three most significant of {run}") for unit in best]

    histories = pd.DataFrame([_history(unit, rows) for unit, rows in own.groupby("unit")])
    histories = histories[histories["epochs"] == histories["epochs"].max()]
    found: list[TrackedUnit] = []
    for by, ascending, phrase in (
        (["length"], [False], "the longest path of all units: {length:.2f}"),
        (
            ["kept", "length"],
            [False, True],
            "the steadiest: significant as “{label}” at {kept} of {epochs} epochs",
        ),
        (
            ["changes", "length"],
            [False, False],
            "relabelled most often: its significant label changed {changes}×",
        ),
    ):
        left = histories[~histories["unit"].isin([tracked.unit for tracked in found])]
        left = left[left[by[0]] > 0].sort_values(by, ascending=ascending, kind="stable")
        if not left.empty:  # nothing moved, or nothing is significant: then there is nothing to track
            best = left.iloc[0].to_dict()
            found.append(TrackedUnit(layer, int(best["unit"]), phrase.format(**best) + f", in {run}"))
    return found


def _history(unit: object, rows: pd.DataFrame) -> dict[str, object]:
    """What one unit did over its live epochs."""
    steps = np.diff(rows[["x", "y"]].to_numpy(), axis=0)
    labels = rows.loc[rows["interpretable"], "label"]
    counts = labels.value_counts()
    return {
        "unit": unit,
        "epochs": len(rows),
        "length": float(np.hypot(*steps.T).sum()),
        "kept": int(counts.iloc[0]) if len(counts) else 0,
        "label": counts.index[0] if len(counts) else "",
        "changes": int((labels.to_numpy()[1:] != labels.to_numpy()[:-1]).sum()),
    }
