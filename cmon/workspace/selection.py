"""Which runs, layers and epochs a layout is of."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cmon.errors import CmonError
from cmon.workspace.keys import epoch_text
from cmon.workspace.layer_patterns import match_names


@dataclass(frozen=True)
class Choice:
    """Nothing given is everything. Runs may be patterns with *, ? and [...], as file names; layers those of
    `layer_patterns`."""

    runs: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    epochs: tuple[tuple[float, float], ...] = ()
    """From and to, both included; equal for a single epoch."""

    @classmethod
    def of_parameters(cls, parameters: Mapping[str, Any]) -> Choice:
        """As a table's parameters hold it; everything where they do not."""
        return cls(
            tuple(parameters.get("runs", ())),
            tuple(parameters.get("layers", ())),
            tuple((low, high) for low, high in parameters.get("epochs", ())),
        )

    def of(self, units: pd.DataFrame) -> pd.DataFrame:
        """The rows with the columns run, layer and epoch that were chosen, in their order.

        Raises CmonError for a run or layer that is not there, an epoch that no chosen run has, and when nothing is
        left.
        """
        scored = units
        for column, given in (("run", self.runs), ("layer", self.layers)):
            if not given:
                continue
            known = list(scored[column].unique())
            named: set[str] = set()
            for name in given:
                matching = match_names(name, known) if column == "layer" else _match_runs(name, known)
                if not matching:
                    raise CmonError(
                        f"--{column} {name}: was not scored",
                        expected=f"one of: {', '.join(known)}",
                        found=name,
                    )
                named.update(matching)
            units = units[units[column].isin(named)]
        if self.epochs:
            inside = pd.Series(False, index=units.index)
            for low, high in self.epochs:
                found = units["epoch"].between(low, high)
                if not found.any():
                    epochs = ", ".join(epoch_text(epoch) for epoch in sorted(units["epoch"].unique()))
                    text = epoch_text(low) if low == high else f"{epoch_text(low)}:{epoch_text(high)}"
                    raise CmonError(
                        f"--epoch {text}: no such epoch was scored",
                        expected=f"some of: {epochs}",
                        found=text,
                    )
                inside |= found
            units = units[inside]
        if units.empty:
            raise CmonError(
                "nothing is left to place",
                expected="units of a run that has the layer and the epoch",
                found="none with all that was chosen",
                hint="choose fewer of --run, --layer and --epoch",
            )
        return units.reset_index(drop=True)


def _match_runs(pattern: str, known: list[str]) -> list[str]:
    """A run's name may itself hold a pattern's signs."""
    return [pattern] if pattern in known else fnmatch.filter(known, pattern)
