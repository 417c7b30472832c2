"""When measures and losses tell poor training from standard: at the planted epochs; what is said where they cannot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cmon.workspace.keys import epoch_text
from scripts.cases import early_warning
from scripts.cases.early_warning import rows, telling
from scripts.cases.results import Results
from tests.support import case_results
from tests.support.case_results import DEAD
from tests.support.synthetic_tables import World

EPOCHS = (0.0, 1.0, 2.0, 3.0, 4.0)
NEVER = 99.0


@pytest.mark.parametrize(
    ("tells", "epoch", "without", "at_first"),
    [
        ([False, False, True, True], 2, (), False),
        ([False, True, False, True], 3, (), False),
        ([False, True, True, False], None, (), False),
        ([True, True, True, True], 0, (), True),
        ([True, False, True, True], 2, (), True),
        ([False, True, None, None], 1, (2, 3), False),
        ([False, None, None, True], 3, (1, 2), False),
        ([False, True, None, False], None, (2,), False),
        ([None, None, None, None], None, (0, 1, 2, 3), False),
    ],
)
def test_a_measure_tells_where_it_does_at_all_later_epochs(
    tells: list[bool | None], epoch: float | None, without: tuple[float, ...], at_first: bool
) -> None:
    found = telling((0, 1, 2, 3), tells)
    assert (found.epoch, found.without, found.at_first) == (epoch, without, at_first)


def departing(
    since: Mapping[str, Mapping[str, float]], changes: case_results.Planted = lambda *_: {}
) -> Results:
    """A study in which, of each recipe, each column departs from standard's from an epoch on."""

    def planted(recipe: str, seed: int, layer: str, epoch: float) -> dict[str, float]:
        found = {}
        for name in ("d_anchor_clip", "d_anchor", "spread", "entropy", "train_loss", "test_loss"):
            begins = since.get(recipe, {}).get(name, NEVER)
            start = np.random.default_rng([seed, len(name), int(epoch)]).normal() * 0.01
            found[name] = 1 + start + 0.5 * (epoch >= begins)
        return {**found, **changes(recipe, seed, layer, epoch)}

    return case_results.results("training", planted, epochs=EPOCHS)


def row(table: pd.DataFrame, kind: str, measure: str, criterion: str = "interval") -> dict[str, object]:
    """One row, without what is NaN."""
    here = (table["kind"] == kind) & (table["measure"] == measure) & (table["criterion"] == criterion)
    (found,) = table[here].to_dict("records")
    return {str(name): value for name, value in found.items() if value == value and value is not None}


def test_each_tells_from_the_planted_epoch_on() -> None:
    results = departing(
        {
            "rate-too-high": {"d_anchor_clip": 1, "d_anchor": 3, "train_loss": 2, "test_loss": 3},
            "rate-too-low": {"train_loss": 1, "d_anchor": 4},
            "random-labels": {"d_anchor_clip": 2},
        }
    )
    table = rows(results)
    assert len(table) == 2 * 3 * len(early_warning.MEASURES)
    assert row(table, "rate-too-high", "d_anchor_clip") == {
        "criterion": "interval",
        "kind": "rate-too-high",
        "measure": "d_anchor_clip",
        "tells from": 1,
        "training loss tells from": 2,
        "epochs before training loss": 1,
        "test loss tells from": 3,
        "epochs before test loss": 2,
        "note": "",
    }
    late = row(table, "rate-too-high", "d_anchor")
    assert (late["epochs before training loss"], late["epochs before test loss"]) == (-1, 0)
    only_last = row(table, "rate-too-low", "d_anchor")
    assert (only_last["tells from"], only_last["note"]) == (4, "rests on one epoch")
    assert "tells from" not in row(table, "rate-too-low", "d_anchor_clip")
    text = early_warning.page(results, table)
    assert "| rate-too-high | d_anchor_clip | 1 | 2 | +1 | 3 | +2 |" in text
    cells = [line.split(" | ") for line in text.splitlines() if line.startswith("| rate-too-low | d_anchor")]
    assert [cell[2:7] for cell in cells] == [
        ["never", "1", "the loss alone", "never", "neither"],
        ["4", "1", "-3", "never", "it alone"],
    ] * 2


def test_what_tells_untrained_networks_apart_is_said() -> None:
    results = departing({"rate-too-low": {"d_anchor": 0, "train_loss": 0}})
    found = row(rows(results), "rate-too-low", "d_anchor")
    assert found["tells from"] == 0
    assert "tells at epoch 0 already: the runs do not start alike" in str(found["note"])
    assert "training loss tells at epoch 0 already" in str(found["note"])
    assert (
        row(rows(results), "rate-too-low", "entropy of labels (bits)")["note"]
        == "training loss tells at epoch 0 already"
    )


def test_a_layer_that_died_neither_tells_nor_speaks_against_what_told() -> None:
    def dies(recipe: str, seed: int, layer: str, epoch: float) -> dict[str, float]:
        return DEAD if recipe == "rate-too-high" and epoch >= 3 else {}

    table = rows(departing({"rate-too-high": {"d_anchor_clip": 2}}, dies))
    told, not_told = (row(table, "rate-too-high", name) for name in ("d_anchor_clip", "d_anchor"))
    assert told["tells from"] == 2
    assert told["note"] == "rests on one epoch; not compared at epoch 3, 4: layer4 is dead in 3 of 3 runs"
    assert "tells from" not in not_told
    assert row(table, "rate-too-high", "share of interpretable units")["tells from"] == 3, (
        "none of the units is"
    )


def test_a_loss_that_is_no_number_tells() -> None:
    def breaks(recipe: str, seed: int, layer: str, epoch: float) -> dict[str, float]:
        return {"train_loss": np.nan, "test_loss": np.inf} if recipe == "rate-too-high" and epoch >= 2 else {}

    found = row(rows(departing({"rate-too-high": {"d_anchor": 1}}, breaks)), "rate-too-high", "d_anchor")
    assert (found["training loss tells from"], found["test loss tells from"]) == (2, 2)
    assert (found["epochs before training loss"], found["epochs before test loss"]) == (1, 1)
    assert found["note"] == (
        "training loss is no number at epoch 2, 3, 4; test loss is no number at epoch 2, 3, 4"
    )


def test_curves_that_run_away_each_at_its_own_rate_are_told_by_their_ranges() -> None:
    def runs_away(recipe: str, seed: int, layer: str, epoch: float) -> dict[str, float]:
        return {"train_loss": 10.0 ** (3 * seed)} if recipe == "rate-too-high" and epoch >= 2 else {}

    table = rows(departing({"rate-too-high": {"d_anchor": 3}}, runs_away))
    by_interval, by_range = (
        row(table, "rate-too-high", "d_anchor", criterion) for criterion in early_warning.CRITERIA
    )
    assert "training loss tells from" not in by_interval
    assert (by_range["training loss tells from"], by_range["epochs before training loss"]) == (2, -1)


@pytest.mark.parametrize(
    ("standard", "poor", "told"),
    [
        ([1, 2, 3], [4, 5, 9], True),
        ([4, 5, 9], [1, 2, 3], True),
        ([1, 2, 4], [4, 5, 9], False),
        ([1, 2, 3], [1, 2, 3], False),
        ([1, 2, np.nan], [4, np.nan, 9], True),
        ([1, 2, 3], [4, np.nan, np.nan], None),
    ],
)
def test_ranges_tell_where_they_do_not_meet(
    standard: list[float], poor: list[float], told: bool | None
) -> None:
    assert early_warning.ranges_tell(np.array(standard), np.array(poor)) is told


def test_a_loss_that_was_not_logged_does_not_tell() -> None:
    def unlogged(*_: object) -> dict[str, float]:
        return {"train_loss": np.nan}

    found = row(rows(departing({"rate-too-high": {"d_anchor": 1}}, unlogged)), "rate-too-high", "d_anchor")
    assert "training loss tells from" not in found
    assert found["note"] == ""


def test_chance_alone_seldom_tells() -> None:
    def random(recipe: str, seed: int, layer: str, epoch: float) -> dict[str, float]:
        own = np.random.default_rng([sum(recipe.encode()), seed, int(epoch)])
        return dict(
            zip(("d_anchor", "d_anchor_clip", "spread", "entropy"), own.normal(1, 0.1, 4), strict=True)
        )

    told = []
    for shift in range(10):
        seeds = range(3 * shift + 1, 3 * shift + 4)
        table = rows(case_results.results("training", random, seeds=seeds, epochs=EPOCHS))
        told.append(table["tells from"].notna().groupby(table["criterion"]).mean())
    assert pd.DataFrame(told)["interval"].mean() < 0.06
    assert pd.DataFrame(told)["ranges"].mean() < 0.15


def test_the_program_reads_and_writes_the_folder(tmp_path: Path) -> None:
    world = World(
        runs=tuple(f"{recipe}@{seed}" for recipe in ("standard", "rate-too-low") for seed in (1, 2, 3)),
        layers=("layer3", "layer4"), epochs=(0.0, 1.0, 2.0), units=20, images=20,
    )  # fmt: skip

    def log(recipe: str, seed: int) -> pd.DataFrame:
        loss = [
            3.0,
            *(3.0 - (0.5 if recipe == "standard" else 0.01) * epoch - 0.01 * seed for epoch in (1, 2)),
        ]
        return pd.DataFrame({"epoch": [0, 1, 2], "train_loss": loss, "test_loss": [2, 2, 2.0 + seed]})

    case_results.write(tmp_path, "training", world, log=log)
    done = CliRunner().invoke(early_warning.main, [str(tmp_path)])
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "early_warning.csv")
    assert set(table["kind"]) == {"rate-too-low"}
    assert set(table["training loss tells from"].map(epoch_text)) == {"1"}
    assert table["test loss tells from"].isna().all()
    assert "layer4" in (tmp_path / "early_warning.md").read_text()


def test_one_seed_is_too_few_and_no_failure(tmp_path: Path) -> None:
    world = World(runs=("standard@1", "rate-too-low@1"), epochs=(0.0, 1.0), units=10, images=10)
    case_results.write(tmp_path, "training", world)
    done = CliRunner().invoke(early_warning.main, [str(tmp_path)])
    assert done.exit_code == 0
    assert "two seeds of each at least; found one seed of standard, rate-too-low" in done.stderr
    without = CliRunner().invoke(early_warning.main, [str(tmp_path / "training")])
    assert (without.exit_code, without.stdout) == (0, "")
    assert "without the study training" in without.stderr
    assert not [*tmp_path.rglob("early_warning.*")]
