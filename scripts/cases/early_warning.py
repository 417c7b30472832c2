"""How many epochs before the loss curve does each measure tell good training from poor?

    python -m scripts.cases.early_warning OUT

OUT/training/workspace has been reported. Writes OUT/early_warning.csv and OUT/early_warning.md, a row for each kind of
poor training and each measure, by each of two criteria; nothing where the study is not there or has a single seed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from cmon.workspace.keys import epoch_text
from scripts.cases import results as measures
from scripts.cases.claims import markdown, write
from scripts.cases.intervals import Floats, welch
from scripts.cases.paper_claims import POOR, STANDARD
from scripts.cases.results import Measure, Results
from scripts.cases.studies import workspace_folder

MEASURES = (
    measures.D_ANCHOR_CLIP,
    measures.D_ANCHOR,
    measures.INTERPRETABLE,
    measures.AGAINST_UNTRAINED,
    measures.SPREAD,
    measures.EFFECTIVE_LABELS,
    measures.ENTROPY,
)
LOSSES = (measures.TRAIN_LOSS, measures.TEST_LOSS)
_METHOD = """\
Values of {layer} in standard training against those in poor training, seeds {seeds}, epochs {epochs}. A measure
*tells* at an epoch if Welch's 95 % interval of the difference of its value between standard and poor runs excludes 0
there and at every later epoch; so does a loss. No correction is made for the number of epochs looked at, because a
difference must hold at all later epochs, too; but a run's epochs resemble each other, and where a result rests on one
epoch, one measure of twenty tells by chance. An epoch at which a measure cannot be compared, for want of live units,
neither tells nor speaks against an earlier one; a loss that is no number in all but one of the runs tells, as anybody
would see. *Before* is how many epochs the measure tells sooner than the loss; below 0, later. Epoch {first} is the
untrained network, the same in both, and must not tell.
"""
_RANGES = """\
The same where a measure or a loss tells if all poor runs lie on one side of all standard ones, there and at every later
epoch. A few curves that scatter widely, as losses do that run away, have an interval that holds 0 though each of them
is plainly another. Of three runs and three, chance parts one of ten so.
"""
Criterion = Callable[[Floats, Floats], bool | None]
"""From values of standard and of poor runs, NaN for none, to whether they tell; None where that cannot be said."""


@dataclass(frozen=True)
class Telling:
    """From when on a measure tells poor runs from standard ones."""

    epoch: float | None
    """The first epoch at which it does and from which on it stays so; None if there is none."""
    without: tuple[float, ...]
    """Epochs at which that cannot be said."""
    at_first: bool
    """Whether it tells at the first epoch: then the runs do not start alike."""


def telling(epochs: Sequence[float], tells: Sequence[bool | None]) -> Telling:
    """From what is so at each of the rising epochs: whether it tells there, or None where that cannot be said."""
    found: float | None = None
    for epoch, told in reversed(list(zip(epochs, tells, strict=True))):
        if told is False:
            break
        found = epoch if told else found
    without = tuple(epoch for epoch, told in zip(epochs, tells, strict=True) if told is None)
    return Telling(found, without, tells[0] is True)


def interval_tells(standard: Floats, poor: Floats) -> bool | None:
    """Whether Welch's interval of the difference excludes 0; None where there is none."""
    found = welch(standard, poor)
    return None if np.isnan(found.low) else found.excludes_zero


def ranges_tell(standard: Floats, poor: Floats) -> bool | None:
    """Whether all poor runs lie on one side of all standard ones; None where either are fewer than two.

    Nothing is asked of how values scatter.
    """
    standard, poor = standard[np.isfinite(standard)], poor[np.isfinite(poor)]
    if min(len(standard), len(poor)) < 2:
        return None
    return bool(standard.max() < poor.min() or poor.max() < standard.min())


CRITERIA: Mapping[str, Criterion] = {"interval": interval_tells, "ranges": ranges_tell}


def measured(results: Results, kind: str, measure: Measure, criterion: Criterion) -> Telling:
    """Of a kind of poor training, in the main layer."""
    tells = []
    for epoch in results.epochs:
        standard, poor = (
            results.of(measure, recipe, results.main, epoch).to_numpy() for recipe in (STANDARD, kind)
        )
        told = criterion(standard, poor)
        if told is None and measure in LOSSES and np.isfinite(standard).sum() > 1:
            told = True  # the poor runs' loss is no number
        tells.append(told)
    return telling(results.epochs, tells)


def rows(results: Results) -> pd.DataFrame:
    """A row for each criterion, kind of poor training with runs, and measure; epochs NaN where nothing tells."""
    made = []
    kinds = [name for name in POOR if name in results.recipes]
    for (name, criterion), kind in product(CRITERIA.items(), kinds):
        losses = {loss.name: _loss(results, kind, loss, criterion) for loss in LOSSES}
        of_losses = _loss_notes(results, kind, losses)
        for measure in MEASURES:
            own = measured(results, kind, measure, criterion)
            row: dict[str, object] = {"criterion": name, "kind": kind, "measure": measure.name}
            row["tells from"] = own.epoch
            for title, loss in losses.items():
                row[f"{title} tells from"] = loss.epoch
                row[f"epochs before {title}"] = (
                    None if own.epoch is None or loss.epoch is None else loss.epoch - own.epoch
                )
            row["note"] = "; ".join([*_notes(results, kind, own), *of_losses])
            made.append(row)
    return pd.DataFrame(made)


def _loss(results: Results, kind: str, loss: Measure, criterion: Criterion) -> Telling:
    """Of a loss curve; where it was never logged, it does not tell."""
    logged = [
        np.isfinite([results.of(loss, recipe, results.main, epoch) for epoch in results.epochs]).any()
        for recipe in (STANDARD, kind)
    ]
    return measured(results, kind, loss, criterion) if all(logged) else Telling(None, (), False)


def _notes(results: Results, kind: str, own: Telling) -> list[str]:
    first = epoch_text(results.first)
    found = [f"tells at epoch {first} already: the runs do not start alike"] if own.at_first else []
    compared = [epoch for epoch in results.epochs if epoch not in own.without]
    if own.epoch is not None and own.epoch == compared[-1]:
        found.append("rests on one epoch")
    if own.without:
        at = ", ".join(map(epoch_text, own.without))
        dead = _dead(results, kind, own.without[-1])
        found.append(f"not compared at epoch {at}" + (f": {dead}" if dead else ""))
    return found


def _loss_notes(results: Results, kind: str, losses: dict[str, Telling]) -> list[str]:
    found = []
    for loss in LOSSES:
        if losses[loss.name].at_first:
            found.append(f"{loss.name} tells at epoch {epoch_text(results.first)} already")
        at = [epoch for epoch in results.epochs if _broken(results, kind, loss, epoch)]
        if at:
            found.append(f"{loss.name} is no number at epoch {', '.join(map(epoch_text, at))}")
    return found


def _broken(results: Results, kind: str, loss: Measure, epoch: float) -> bool:
    """Whether the loss of any of the runs is infinite or none, where standard runs have one."""
    poor, standard = (results.of(loss, recipe, results.main, epoch) for recipe in (kind, STANDARD))
    return bool(np.isfinite(standard).all() and not np.isfinite(poor).all())


def _dead(results: Results, kind: str, epoch: float) -> str:
    """'layer4 is dead in 3 of 3 runs'."""
    values = results.values
    own = values[(values["recipe"] == kind) & (values["layer"] == results.main) & (values["epoch"] == epoch)]
    dead, runs = int((own["n_live"] == 0).sum()), len(results.seeds(kind))
    return f"{results.main} is dead in {dead} of {runs} runs" if dead else ""


def page(results: Results, table: pd.DataFrame) -> str:
    """early_warning.md."""
    method = _METHOD.format(
        layer=results.main,
        seeds=", ".join(map(str, results.seeds(STANDARD))),
        epochs=f"{epoch_text(results.first)} to {epoch_text(results.last)}",
        first=epoch_text(results.first),
    )
    tables = {name: _shown(table[table["criterion"] == name]) for name in CRITERIA}
    return f"# Early warning\n\n{method}\n{tables['interval']}\n{_RANGES}\n{tables['ranges']}"


def _shown(table: pd.DataFrame) -> str:
    """What people read of the rows of one criterion."""
    return markdown(
        [
            {
                "poor training": row["kind"],
                "measure": row["measure"],
                "tells from epoch": _epoch(row["tells from"]),
                **{
                    column: text
                    for loss in LOSSES
                    for column, text in (
                        (f"{loss.name} from epoch", _epoch(row[f"{loss.name} tells from"])),
                        (f"before {loss.name}", _before(row, loss.name)),
                    )
                },
                "note": row["note"],
            }
            for row in table.to_dict("records")
        ]
    )


def _epoch(epoch: float | None) -> str:
    return "never" if epoch is None or np.isnan(epoch) else epoch_text(epoch)


def _before(row: Mapping[Hashable, Any], loss: str) -> str:
    """'+2', or which of the two alone tells."""
    before = row[f"epochs before {loss}"]
    if isinstance(before, float) and np.isfinite(before):
        return f"{before:+g}" if before else "0"
    if _epoch(row["tells from"]) != "never":
        return "it alone"
    return "neither" if _epoch(row[f"{loss} tells from"]) == "never" else "the loss alone"


@click.command()
@click.argument("out", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(out: Path) -> None:
    """When each measure tells poor training from standard, on the runs of OUT."""
    if not workspace_folder(out, "training").is_dir():
        click.echo(f"{out}: no early warning without the study training", err=True)
        return
    results = Results.read(out, "training")
    few = [name for name in results.recipes if len(results.seeds(name)) < 2]
    if few or len(results.recipes) < 2 or STANDARD not in results.recipes:
        found = f"one seed of {', '.join(few)}" if few else f"{', '.join(results.recipes)} only"
        click.echo(
            f"{out}: no early warning without {STANDARD} and poor training, two seeds of each at least; found {found}",
            err=True,
        )
        return
    table = rows(results)
    write(out / "early_warning.csv", table.to_csv(index=False))
    write(out / "early_warning.md", page(results, table))


if __name__ == "__main__":
    main()
