"""Runs that repeat one recipe: those that share a name before `@`, as `standard@1` and `standard@2` do.

A run that stands alone is a recipe of one run, under the run's own name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Recipe:
    """What runs are repeats of."""

    name: str
    """Before the last `@` of the runs' names, or the name of a run that stands alone."""
    runs: tuple[str, ...]
    """At least one, in the order in which they were given."""

    @property
    def is_repeated(self) -> bool:
        """Whether it has at least two runs."""
        return len(self.runs) > 1

    @property
    def title(self) -> str:
        """'standard (3 runs)', or the name of a run that stands alone: no two recipes of `recipes` have the same,
        unless a run is called so."""
        return f"{self.name} ({len(self.runs)} runs)" if self.is_repeated else self.name


def recipe_of(run: str) -> str | None:
    """The name before the last `@`; None where there is no `@`, or nothing before or after it.

    >>> recipe_of("standard@1"), recipe_of("lr@0.1@seed2"), recipe_of("standard"), recipe_of("@1"), recipe_of("a@")
    ('standard', 'lr@0.1', None, None, None)
    """
    before, _, after = run.rpartition("@")
    return before if before.strip() and after.strip() else None


def recipes(runs: Iterable[str]) -> list[Recipe]:
    """Every run in one recipe, in the order of their first runs.

    A single run of a name stands alone, and so does a run that is called as a recipe: of `standard`, `standard@1` and
    `standard@2`, the first is no repeat of the others.
    """
    found: dict[tuple[str, bool], list[str]] = {}
    for run in dict.fromkeys(runs):
        name = recipe_of(run)
        found.setdefault((run, False) if name is None else (name, True), []).append(run)
    return [Recipe(name if len(own) > 1 else own[0], tuple(own)) for (name, _), own in found.items()]


def repeated(runs: Iterable[str]) -> list[Recipe]:
    """The recipes with at least two runs."""
    return [recipe for recipe in recipes(runs) if recipe.is_repeated]


def titles(runs: Iterable[str]) -> dict[str, str]:
    """Each run to its recipe's title."""
    return {run: recipe.title for recipe in recipes(runs) for run in recipe.runs}


def shared_epochs(epochs: pd.DataFrame) -> pd.DataFrame:
    """Of each recipe the epochs that as many of its runs have as any epoch: all of them, where they have one in common.

    epochs: `run` and `epoch`, any number of rows for each. Gives `run`, the recipe's title, and `epoch`, each once;
    recipes in their order, epochs rising.
    """
    known = epochs[["run", "epoch"]].drop_duplicates()
    known = known.assign(run=known["run"].map(titles(known["run"])))
    counts = known.groupby(["run", "epoch"], sort=False).size().rename("n").reset_index()
    most = counts[counts["n"] == counts.groupby("run")["n"].transform("max")]
    order = {title: at for at, title in enumerate(known["run"].unique())}
    most = most.assign(at=most["run"].map(order)).sort_values(["at", "epoch"], ignore_index=True)
    return most[["run", "epoch"]]
