"""How right the labels of a classification head are: its units are named by their classes.

CLIP-Dissect's own evaluation (arXiv 2204.10965, section 4.2): the units of a network's last layer have a known
meaning. By its first measure the label of each is right if it is the class's name; by its second, the label is as near
as its text vector is to the name's, so that 'van' for a truck is nearer than 'stretcher'.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cmon import text_files
from cmon.concepts import folded
from cmon.errors import CmonError
from cmon.evaluation.intervals import wilson
from cmon.workspace.keys import GROUP, UNIT_KEYS, sort_rows
from cmon.workspace.workspace import Workspace

logger = logging.getLogger(__name__)

_FORMAT = text_files.Format("a list of class names", "one a line, in the order of the head's units")
TOPS = (1, 5)
"""A name counts as found if it is among so many of the unit's best concepts."""
Floats = npt.NDArray[np.floating]
TextVectors = Callable[[Sequence[str]], Floats]
"""From C texts to (C,D) unit vectors, by the CLIP that scored."""


@dataclass(frozen=True)
class HeadCheck:
    """What is known of a head's labels."""

    accuracy: list[dict[str, Any]]
    """Per run, layer and epoch: see `accuracy`."""
    labels: list[dict[str, Any]]
    """Per class, at the last epoch of every run and layer: see `class_labels`."""


@dataclass(frozen=True)
class Vectors:
    """Unit vectors of all words that are compared."""

    concepts: Mapping[str, Floats]
    """From a folded concept to its (D,) vector."""
    names: Floats
    """(U,D) of the names, in the order of the units."""

    @classmethod
    def of(cls, vocabulary: pd.DataFrame, names: Sequence[str], text_vectors: TextVectors) -> Vectors:
        """vocabulary: the table. text_vectors: asked only for names that are no concepts."""
        known = dict(zip(vocabulary["concept"].map(folded), vocabulary["vector"], strict=True))
        missing = list(dict.fromkeys(name for name in names if folded(name) not in known))
        new = dict(zip(missing, text_vectors(missing), strict=True)) if missing else {}
        vectors = [new[name] if name in new else known[folded(name)] for name in names]
        return cls(known, np.stack(vectors).astype(np.float64))

    def cosines(self, units: pd.Series, labels: pd.Series) -> Floats:
        """(R,) of each row's label with the name of its unit."""
        found = np.stack([self.concepts[folded(label)] for label in labels]).astype(np.float64)
        return np.einsum("rd,rd->r", found, self.names[units.to_numpy()])

    @property
    def by_chance(self) -> float:
        """The mean cosine of a name with a concept, whichever the two are."""
        return float((self.names @ np.stack(list(self.concepts.values())).mean(axis=0)).mean())


def read_names(path: Path) -> list[str]:
    """One class name a line, in the order of the head's units. Names may come twice, as ImageNet's do.

    Raises CmonError when the file is not text, is empty, or has a blank line between names, which would shift them.
    """
    names = text_files.read_lines(path, _FORMAT)
    if not names:
        raise CmonError(f"{path}: holds no class name", expected=_FORMAT.content)
    if "" in names:
        raise CmonError(
            f"{path}, line {names.index('') + 1}: is blank",
            expected="one class name a line, in the order of the head's units",
            hint="a class without a name must have some text, for example '-'; it then never counts as right",
        )
    return names


def require_layer(shards: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise CmonError if no layer has as many units as there are names. shards: the table, there before scoring."""
    sizes = shards.drop_duplicates(["layer", "units"])
    if (sizes["units"] == len(names)).any():
        return
    pairs = zip(sizes["layer"], sizes["units"], strict=True)
    raise CmonError(
        f"--class-names: no layer has as many units as there are names, {len(names):,}",
        expected="the classification head among the extracted layers, and a name for each of its units",
        found="units: " + ", ".join(f"{layer} {units:,}" for layer, units in pairs),
        hint="give a name for each unit of the head, or run `cmon extract` with the head's --layer too, such as fc",
    )


def measure(workspace: Workspace, names: Sequence[str], text_vectors: TextVectors) -> HeadCheck:
    """Check a workspace that has been scored; warns of names that are no concepts, or come twice.

    text_vectors: asked only for names that are no concepts. Raises CmonError when `score` has not run.
    """
    vocabulary = workspace.frame("vocabulary")
    warn_of_repeated(names)
    warn_of_unknown(vocabulary["concept"].tolist(), names)
    units, concepts = workspace.frame("units"), workspace.frame("concepts")
    vectors = Vectors.of(vocabulary, names, text_vectors)
    return HeadCheck(accuracy(units, concepts, vectors, names), class_labels(units, concepts, vectors, names))


def accuracy(
    units: pd.DataFrame, concepts: pd.DataFrame, vectors: Vectors, names: Sequence[str]
) -> list[dict[str, Any]]:
    """Per run, layer and epoch whose units the names name: how many are found, with Wilson's 95 % intervals.

    units, concepts: the tables. A unit's name is found in the top n if it is one of the unit's n best concepts; case
    and white space do not count. The share is over all units: one that is not scored is not found, nor is one whose
    name is no concept (`nameable` counts those that are). `cosine`: mean cosine of the text vectors of label and name,
    over the units that have a label, NaN where none has; `any concept's`: what a label drawn from the list at random
    gets. CLIP's text vectors lie in a narrow cone, so that only the first less the second says something.
    """
    wanted = pd.Series([folded(name) for name in names])
    heads = _heads(units, names)
    best = concepts.loc[concepts["rank"] < max(TOPS), [*UNIT_KEYS, "rank", "concept"]].merge(heads)
    labels = best[best["rank"] == 0]
    cosines = dict(list(labels.assign(cosine=_cosines(labels, vectors)).groupby(GROUP)["cosine"]))
    best = best[best["concept"].map(folded) == best["unit"].map(wanted)]
    ranks = dict(list(best.groupby(GROUP)["rank"]))
    nameable, chance = sum(name in vectors.concepts for name in wanted), vectors.by_chance
    rows = []
    for key, rows_of_head in sort_rows(heads).groupby(GROUP, sort=False):
        row = {**dict(zip(GROUP, key, strict=True)), "units": len(rows_of_head), "nameable": nameable}
        for top in TOPS:
            found = int((ranks[key] < top).sum()) if key in ranks else 0
            low, high = wilson(found, len(rows_of_head))
            values = {"found": found, "share": found / len(rows_of_head), "low": low, "high": high}
            row |= {f"top-{top} {name}": value for name, value in values.items()}
        cosine = float(cosines[key].mean()) if key in cosines else float("nan")
        rows.append(row | {"cosine": cosine, "any concept's": chance})
    return rows


def class_labels(
    units: pd.DataFrame, concepts: pd.DataFrame, vectors: Vectors, names: Sequence[str]
) -> list[dict[str, Any]]:
    """What every class is called: a row per unit of a head, at the last epoch of every run and layer.

    `class`, `label`, `cosine` of the two, and `top five`, the unit's best concepts in order; the last three are None
    for a unit without a label. The arguments are those of `accuracy`.
    """
    heads = sort_rows(_heads(units, names))
    last = heads[heads["epoch"] == heads.groupby(["run", "layer"])["epoch"].transform("max")]
    best = concepts.loc[concepts["rank"] < max(TOPS), [*UNIT_KEYS, "rank", "concept"]].merge(last)
    labels = best[best["rank"] == 0]
    keys = labels[UNIT_KEYS].itertuples(index=False, name=None)
    cosines = dict(zip(keys, _cosines(labels, vectors), strict=True))
    tops = {key: list(rows["concept"]) for key, rows in best.sort_values("rank").groupby(UNIT_KEYS)}
    rows = []
    for key in last[UNIT_KEYS].itertuples(index=False, name=None):
        top = tops.get(key)
        rows.append(
            {
                **dict(zip(UNIT_KEYS, key, strict=True)),
                "class": names[key[-1]],
                "label": top[0] if top else None,
                "cosine": float(cosines[key]) if top else None,
                "top five": "; ".join(top) if top else None,
            }
        )
    return rows


def _heads(units: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The keys of all units of layers that have as many as there are names."""
    return units.groupby(GROUP, sort=False).filter(lambda rows: len(rows) == len(names))[UNIT_KEYS]


def _cosines(labels: pd.DataFrame, vectors: Vectors) -> Floats:
    return vectors.cosines(labels["unit"], labels["concept"]) if len(labels) else np.empty(0)


def warn_of_repeated(names: Sequence[str]) -> None:
    """Say which classes have one name, as ImageNet's two cranes: a label cannot tell which of them it means."""
    numbers: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        numbers.setdefault(folded(name), []).append(number)
    repeated = [some for some in numbers.values() if len(some) > 1]
    if repeated:
        logger.warning(
            "classes of one name: %d (%s%s): the label counts as right for each of them; give them names that differ, "
            "such as 'crane (bird)', to tell them apart",
            len(repeated),
            "; ".join(
                f"{names[some[0]]!r} is units {' and '.join(map(str, some[:4]))}" for some in repeated[:5]
            ),
            "; ..." if len(repeated) > 5 else "",
        )


def warn_of_unknown(vocabulary: Sequence[str], names: Sequence[str]) -> None:
    """Warn of names that are no concepts: the labels of their units cannot be right."""
    known = {folded(name) for name in vocabulary}
    unknown = [name for name in names if folded(name) not in known]
    if unknown:
        logger.warning(
            "%d of %d class names are not among the concepts, so that their units' labels cannot be right: %s%s",
            len(unknown),
            len(names),
            ", ".join(map(repr, unknown[:5])),
            " ..." if len(unknown) > 5 else "",
        )
