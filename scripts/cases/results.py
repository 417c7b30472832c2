"""What the runs of a study measured, one row per run, layer and epoch: read from its workspace, report and logs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path

import click
import numpy as np
import pandas as pd

from cmon.errors import CmonError
from cmon.reporting.layers import heads, main_layer
from cmon.reporting.tables.comparison import same_start
from cmon.workspace.keys import GROUP, epoch_text
from cmon.workspace.workspace import Workspace
from scripts.cases.against_untrained import STANDS_OUT, read_counts
from scripts.cases.studies import STUDIES, Study, run_folder, untrained_folder, workspace_folder

COLOR_AND_TEXTURE = ("color", "colour", "texture")
"""Categories of labels, as Broden and others spell them; `material` is neither, and is told apart."""
LOGGED = ("train_loss", "test_loss", "test_accuracy", "robust_accuracy")
"""Columns of training.csv that are compared; one that a log has not is empty."""
_OF_REPORT = {
    "d_anchor": ["d_anchor", "d_anchor_clip", "n_units", "n_live", "n_interpretable"],
    "movement": ["from_first", "from_first_clip", "spread"],
    "diversity": ["entropy", "effective_labels"],
}
"""Tables of the report to their columns that are compared."""
_GROUP = ["recipe", "layer", "epoch"]
_COUNT = "count of "
"""In front of a category: the column with its interpretable units."""


@dataclass(frozen=True)
class Measure:
    """A number of each run, layer and epoch."""

    name: str
    """As tables name it."""
    of: Callable[[pd.DataFrame], pd.Series]
    """From rows of `Results.values` to it; NaN where a run has none there."""
    table: str
    """Of the report, or `units` or `against-untrained` for units of either workspace, or `training` for a log."""
    lacks: str = ""
    """What is so of a layer in which there is no such number: 'has no live unit'; empty for what is logged."""


def column(name: str, table: str, title: str | None = None, lacks: str = "") -> Measure:
    """A column of `Results.values` as it is."""
    return Measure(title or name, lambda values: values[name], table, lacks)


def share_of_units(categories: Sequence[str], title: str) -> Measure:
    """Interpretable units under these categories, as a share of all units of the layer, 0 to 1."""
    return Measure(title, lambda values: _counted(values, categories) / values["n_units"], "interpretable")


def share_of_interpretable(categories: Sequence[str], title: str) -> Measure:
    """The same as a share of the interpretable units; NaN where there is none."""

    def share(values: pd.DataFrame) -> pd.Series:
        return _counted(values, categories) / values["n_interpretable"].where(values["n_interpretable"] > 0)

    return Measure(title, share, "interpretable", "has no interpretable unit")


def _counted(values: pd.DataFrame, categories: Sequence[str]) -> pd.Series:
    return values[[name for name in map(_COUNT.__add__, categories) if name in values]].sum(axis=1)


_NOT_LIVE = "has no live unit"
D_ANCHOR = column("d_anchor", "d_anchor", lacks=_NOT_LIVE)
D_ANCHOR_CLIP = column("d_anchor_clip", "d_anchor", lacks=_NOT_LIVE)
FROM_FIRST = column("from_first", "movement", "displacement since the first epoch", _NOT_LIVE)
FROM_FIRST_CLIP = column(
    "from_first_clip", "movement", "displacement since the first epoch, in CLIP's space", _NOT_LIVE
)
SPREAD = column("spread", "movement", "spread (mean distance of two units)", "has no two live units")
INTERPRETABLE = Measure(
    "share of interpretable units", lambda values: values["n_interpretable"] / values["n_units"], "d_anchor"
)
AGAINST_UNTRAINED = Measure(
    "share of units that are interpretable against the untrained network",
    lambda values: values[STANDS_OUT] / values["n_units"],
    "against-untrained",
    "was not scored against the untrained network",
)
ENTROPY = column("entropy", "diversity", "entropy of labels (bits)")
EFFECTIVE_LABELS = column("effective_labels", "diversity", "effective labels")
KEPT = column(
    "kept",
    "units",
    "share of the units interpretable at the first epoch that keep their label",
    "had no interpretable unit at the first epoch to keep its label",
)
TRAIN_LOSS = column("train_loss", "training", "training loss")
TEST_LOSS = column("test_loss", "training", "test loss")
ACCURACY = column("test_accuracy", "training", "accuracy")
ROBUST_ACCURACY = column("robust_accuracy", "training", "accuracy under attack")


@dataclass(frozen=True)
class Results:
    """One study."""

    study: str
    layers: list[str]
    """In the network's order, without a classification head."""
    main: str
    """The layer that a claim is about where it is about one: the last of `layers`."""
    values: pd.DataFrame
    """recipe, seed, layer, epoch; the columns of _OF_REPORT; `count of CATEGORY`; `kept`; STANDS_OUT; LOGGED."""
    units: pd.DataFrame
    """run, layer, epoch, unit, status, label, interpretable."""
    concepts: pd.DataFrame
    """The report's table `concept_counts` with recipe and seed."""

    @classmethod
    def read(cls, out: Path, study: str) -> Results:
        """Of OUT/STUDY/workspace and OUT/runs. Raises UsageError where a table is not there."""
        try:
            return cls._read(out, study)
        except CmonError as error:
            raise click.UsageError(str(error)) from error

    @classmethod
    def _read(cls, out: Path, study: str) -> Results:
        workspace = Workspace(workspace_folder(out, study))
        values = workspace.frame("d_anchor")[[*GROUP, *_OF_REPORT["d_anchor"]]]
        for name in ("movement", "diversity"):
            values = values.merge(workspace.frame(name)[[*GROUP, *_OF_REPORT[name]]], on=GROUP, how="left")
        counts = workspace.frame("interpretable").pivot(index=GROUP, columns="category", values="units")
        values = values.merge(counts.add_prefix(_COUNT).reset_index(), on=GROUP, how="left")
        columns = [*GROUP, "unit", "status", "label", "interpretable"]
        units = workspace.read("units", columns).to_pandas()
        values = values.merge(kept_labels(units), on=GROUP, how="left")
        values = values.merge(read_counts(untrained_folder(out, study)), on=GROUP, how="left")
        values = _with_recipes(values, study)
        values = values.merge(_logs(out, values), on=["recipe", "seed", "epoch"], how="left")
        shards = workspace.read("shards").to_pandas()
        names = [str(layer) for layer in values["layer"].unique()]
        layers = [name for name in names if name not in heads(names, shards)]
        concepts = _with_recipes(workspace.frame("concept_counts"), study)
        return cls(study, layers, main_layer(values, shards, None), values, units, concepts)

    @cached_property
    def epochs(self) -> list[float]:
        """Those that all runs have, rising. Raises UsageError if they are fewer than two."""
        own = [set(rows["epoch"]) for _, rows in self.values.groupby(["recipe", "seed"])]
        found = sorted(set.intersection(*own)) if own else []
        if len(found) < 2:
            raise click.UsageError(
                f"study {self.study}: the runs have fewer than two epochs in common; run the rest of them first"
            )
        return found

    @property
    def first(self) -> float:
        return self.epochs[0]

    @property
    def last(self) -> float:
        return self.epochs[-1]

    @property
    def recipes(self) -> list[str]:
        """Those with runs, in the study's order."""
        return [name for name in STUDIES[self.study].recipes if name in set(self.values["recipe"])]

    def seeds(self, recipe: str) -> list[int]:
        """Of its runs."""
        return self._seeds.get(recipe, [])

    @cached_property
    def _seeds(self) -> dict[str, list[int]]:
        groups = self.values.groupby("recipe")["seed"]
        return {str(recipe): sorted(map(int, own.unique())) for recipe, own in groups}

    @cached_property
    def _groups(self) -> dict[tuple[Hashable, ...], pd.DataFrame]:
        """(recipe, layer, epoch) to the rows of its runs by seed."""
        return {key: own.set_index("seed") for key, own in self.values.groupby(_GROUP)}

    def has_category(self, *names: str) -> bool:
        """Whether any label is of one of these categories."""
        return any(_COUNT + name in self.values for name in names)

    def of(self, measure: Measure, recipe: str, layer: str, epoch: float) -> pd.Series:
        """The measure of each run of the recipe by seed; NaN where a run has no value."""
        rows = self._groups.get((recipe, layer, epoch), self.values.iloc[:0].set_index("seed"))
        return measure.of(rows).astype(float).reindex(self.seeds(recipe))

    def why_missing(self, measure: Measure, recipe: str, seed: int, layer: str, epoch: float) -> str:
        """Why a run has no value of a measure there: 'rate-too-high@2: layer4 has no live unit at epoch 5'."""
        run, when = Study.run_name(recipe, seed), f"at epoch {epoch_text(epoch)}"
        rows = self._groups.get((recipe, layer, epoch))
        if rows is None or seed not in rows.index:
            return f"{run}: {layer} is not there {when}"
        if not measure.lacks:
            return f"{run}: no {measure.name} {when}"
        dead = not rows.loc[seed, "n_live"]
        return f"{run}: {layer} {_NOT_LIVE if dead else measure.lacks} {when}"

    def start_alike(self, *recipes: str) -> bool:
        """Whether runs of two recipes with one seed started from the same weights; see `comparison.same_start`."""
        return frozenset(recipes) in self._started_alike

    @cached_property
    def _started_alike(self) -> set[frozenset[str]]:
        """Pairs of recipes."""
        found = set()
        for one, other in combinations(self.recipes, 2):
            both = {*self.seeds(one)} & {*self.seeds(other)}
            names = [(Study.run_name(one, seed), Study.run_name(other, seed)) for seed in both]
            if names and all(same_start(self.units, *pair) for pair in names):
                found.add(frozenset((one, other)))
        return found


def kept_labels(units: pd.DataFrame) -> pd.DataFrame:
    """`kept` by run, layer, epoch: of the units interpretable at the first epoch, the share still so under that label.

    units: run, layer, epoch, unit, label, interpretable. NaN where no unit is interpretable at the first epoch.
    """
    start = units["epoch"] == units.groupby(["run", "layer"])["epoch"].transform("min")
    keys = ["run", "layer", "unit"]
    named = units.loc[start & units["interpretable"], [*keys, "label"]]
    both = units.merge(named, on=keys, suffixes=("", "_first"))
    both = both.assign(kept=both["interpretable"] & (both["label"] == both["label_first"]))
    found = both.groupby(GROUP)["kept"].mean()
    groups = pd.MultiIndex.from_frame(units[GROUP].drop_duplicates())
    return found.reindex(groups).reset_index()


def top_concepts(results: Results, recipe: str, most: int) -> pd.DataFrame:
    """The main layer's most frequent labels at the last epoch: concept, category, mean, low, high of their units.

    Over the recipe's seeds; a seed in which no unit has the label counts as 0. The most frequent first, then by name.
    """
    concepts, seeds = results.concepts, results.seeds(recipe)
    own = concepts[
        (concepts["recipe"] == recipe)
        & (concepts["layer"] == results.main)
        & (concepts["epoch"] == results.last)
    ]
    counts = own.pivot(index="concept", columns="seed", values="units").reindex(columns=seeds).fillna(0)
    category = own.drop_duplicates("concept").set_index("concept")["category"]
    found = pd.DataFrame(
        {
            "category": category,
            "mean": counts.mean(axis=1),
            "low": counts.min(axis=1),
            "high": counts.max(axis=1),
        }
    )
    found = found.rename_axis("concept").reset_index()
    return found.sort_values(["mean", "concept"], ascending=[False, True], ignore_index=True).head(most)


def _with_recipes(table: pd.DataFrame, study: str) -> pd.DataFrame:
    """The rows of the study's runs, with recipe and seed in place of the run RECIPE@SEED."""
    parts = table["run"].str.extract(r"^(?P<recipe>.*)@(?P<seed>\d+)$")
    known = parts["recipe"].isin(STUDIES[study].recipes)
    rest = table[known].drop(columns="run").reset_index(drop=True)
    return pd.concat([parts[known].astype({"seed": np.int64}).reset_index(drop=True), rest], axis=1)


def _logs(out: Path, values: pd.DataFrame) -> pd.DataFrame:
    """recipe, seed, epoch and LOGGED of the runs' training.csv; a run without has no rows."""
    found = [pd.DataFrame(columns=["recipe", "seed", "epoch", *LOGGED])]
    for recipe, seed in values[["recipe", "seed"]].drop_duplicates().itertuples(index=False, name=None):
        path = run_folder(out, recipe, seed) / "training.csv"
        if path.is_file():
            log = pd.read_csv(path).reindex(columns=["epoch", *LOGGED]).astype(float)
            found.append(log.assign(recipe=recipe, seed=seed))
    logs = pd.concat([one for one in found if len(one)] or found, ignore_index=True)
    return logs.astype({"recipe": object, "seed": np.int64, "epoch": float})
