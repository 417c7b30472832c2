"""How often the labels of a classification head are right: its units are named by their classes.

CLIP-Dissect's own evaluation (arXiv 2204.10965, section 4.2): the units of a network's last layer have a known
meaning, so the label of each is right if it is the class's name.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


def measure(workspace: Workspace, names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of `accuracy` for a workspace that has been scored; warns of names that are no concepts, or come twice.

    Raises CmonError when `score` has not run.
    """
    vocabulary = workspace.frame("vocabulary")["concept"].tolist()
    warn_of_repeated(names)
    warn_of_unknown(vocabulary, names)
    return accuracy(workspace.frame("units"), workspace.frame("concepts"), vocabulary, names)


def accuracy(
    units: pd.DataFrame, concepts: pd.DataFrame, vocabulary: Sequence[str], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Per run, layer and epoch whose units the names name: how many are found, with Wilson's 95 % intervals.

    units, concepts: the tables. vocabulary: the concepts that units were scored against. A unit's name is found in
    the top n if it is one of the unit's n best concepts; case and white space do not count. The share is over all
    units: one that is not scored is not found, nor is one whose name is not in the vocabulary (`nameable` counts
    those that are).
    """
    wanted = pd.Series([folded(name) for name in names])
    known = {folded(name) for name in vocabulary}
    heads = units.groupby(GROUP, sort=False).filter(lambda rows: len(rows) == len(names))[UNIT_KEYS]
    best = concepts.loc[concepts["rank"] < max(TOPS), [*GROUP, "unit", "rank", "concept"]].merge(heads)
    best = best[best["concept"].map(folded) == best["unit"].map(wanted)]
    ranks = dict(list(best.groupby(GROUP)["rank"]))
    rows = []
    for key, rows_of_head in sort_rows(heads).groupby(GROUP, sort=False):
        row = {
            **dict(zip(GROUP, key, strict=True)),
            "units": len(rows_of_head),
            "nameable": sum(name in known for name in wanted),
        }
        for top in TOPS:
            found = int((ranks[key] < top).sum()) if key in ranks else 0
            low, high = wilson(found, len(rows_of_head))
            values = {"found": found, "share": found / len(rows_of_head), "low": low, "high": high}
            row |= {f"top-{top} {name}": value for name, value in values.items()}
        rows.append(row)
    return rows


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
