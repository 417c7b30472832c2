"""Claims planted to hold, to fail, and to be of chance; and runs of which there is nothing to measure."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import click
import numpy as np
import pytest

from scripts.cases import claims
from scripts.cases.against_untrained import STANDS_OUT
from scripts.cases.contrasts import Contrast, Finding, Side, find
from scripts.cases.paper_claims import (
    PAPER_CLAIMS,
    POOR,
    STANDARD,
    d_anchor_and_movement,
    depth_and_categories,
    fine_tuning,
    lottery,
)
from scripts.cases.results import D_ANCHOR, Results
from tests.support import case_results
from tests.support.case_results import DEAD, LAYERS, Planted

LAST = 2.0


def effects(sign: float) -> Planted:
    """All that the five claims say, to the given extent; 0 for nothing, below 0 for the contrary."""

    def planted(recipe: str, seed: int, layer: str, epoch: float) -> dict[str, float]:
        random = np.random.default_rng([seed, LAYERS.index(layer), int(epoch), sum(recipe.encode())])
        if epoch == 0 and recipe in (STANDARD, *POOR):  # one network
            random = np.random.default_rng([seed, LAYERS.index(layer)])

        def around(middle: float) -> float:
            return middle + random.normal() * 0.004

        depth, trained, poor = LAYERS.index(layer), epoch / LAST, recipe in POOR
        good = sign * trained * (not poor)
        colors, objects = 20 - 12 * good, 20 + 12 * good
        interpretable = 0.5 + 0.05 * good + 0.03 * sign * depth * trained
        if recipe == "adversarial":
            colors, objects = 20 + 8 * sign, 20 - 8 * sign
        if recipe == "winning":
            interpretable += 0.2 * sign
        keeps = 0.2 * (1 - depth) * sign if recipe == "fine-tuned" else 0
        return {
            "d_anchor": around(0.5 - 0.1 * good),
            "d_anchor_clip": around(0.5 - 0.1 * good),
            "from_first": around(0.5 + 0.2 * good),
            "from_first_clip": around(0.5 + 0.2 * good),
            "spread": around(1 + 0.2 * good),
            "n_interpretable": 100 * around(interpretable),
            STANDS_OUT: 100 * around(interpretable - 0.4),
            "count of object": 100 * around(objects / 100),
            "count of part": 100 * around((10 + 8 * good) / 100),
            "count of scene": 100 * around((10 + 8 * good) / 100),
            "count of color": 100 * around(colors / 200),
            "count of texture": 100 * around(colors / 200),
            "kept": around(0.5 + keeps),
        }

    return planted


def findings(planted: Planted, seeds: int = 5) -> list[Finding]:
    """Those that count, of all five."""
    found = []
    for claim in PAPER_CLAIMS:
        results = case_results.results(
            claim.study, planted, seeds=range(1, seeds + 1), epochs=(0.0, 1.0, LAST)
        )
        found += [find(results, one) for one in claim.contrasts(results)]
    return [one for one in found if one.contrast.role == "claim"]


def test_what_is_planted_is_confirmed_and_its_contrary_is_not() -> None:
    held = findings(effects(1))
    assert {one.contrast.claim for one in held} == {1, 2, 3, 4, 5}
    assert {one.verdict for one in held} == {"confirmed"}
    assert {one.verdict for one in findings(effects(-1))} == {"not confirmed"}
    assert not any(one.missing for one in held)


def test_what_is_of_chance_is_unclear() -> None:
    verdicts = Counter(one.verdict for one in findings(effects(0)))
    assert verdicts["unclear here"] >= 0.9 * verdicts.total()


def poor_against_standard(results: Results, recipe: str, layer: str = "layer4") -> Finding:
    """d_anchor of a poor recipe at the last epoch."""
    side = {name: Side(name, layer, results.last) for name in (STANDARD, recipe)}
    return find(results, Contrast(1, "", D_ANCHOR, side[recipe], side[STANDARD], "higher"))


def test_numbers_are_the_runs_own() -> None:
    results = case_results.results(
        "training", lambda recipe, seed, layer, epoch: {"d_anchor": seed + epoch * (recipe == STANDARD)}
    )
    found = poor_against_standard(results, "rate-too-low")
    numbers = found.difference
    assert (numbers.value, numbers.reference, numbers.difference) == (2, 4, -2)
    assert (found.where, found.compared) == ("layer4, epoch 2", "rate-too-low − standard")
    over_epochs = find(results, d_anchor_and_movement(results)[0])
    assert (over_epochs.where, over_epochs.compared) == ("standard, layer4", "epoch 2 − epoch 0")
    assert (over_epochs.difference.difference, over_epochs.verdict) == (2, "not confirmed")


def test_runs_are_paired_where_they_started_from_the_same_weights() -> None:
    def planted(recipe: str, seed: int, layer: str, epoch: float) -> dict[str, float]:
        return {"d_anchor": seed + (recipe != STANDARD) * (1 + 0.01 * seed), "n_interpretable": 10 * seed}

    alike, apart = (
        case_results.results("training", planted, same_start=same_start) for same_start in (True, False)
    )
    assert poor_against_standard(alike, "rate-too-low").difference.method == "paired"
    assert poor_against_standard(alike, "rate-too-low").verdict == "confirmed"
    assert poor_against_standard(apart, "rate-too-low").difference.method == "Welch"
    assert poor_against_standard(apart, "rate-too-low").verdict == "unclear here"
    masked = case_results.results("lottery", planted, same_start=False)
    assert {find(masked, one).difference.method for one in lottery(masked)} == {"paired"}, "by design"
    other_tasks = case_results.results("fine-tuning", planted, same_start=False)
    methods = {
        (one.value.recipe == one.reference.recipe, find(other_tasks, one).difference.method)
        for one in fine_tuning(other_tasks)
    }
    assert methods == {(True, "paired"), (False, "Welch")}


def test_a_dead_layer_is_left_out_and_named() -> None:
    def planted(recipe: str, seed: int, layer: str, epoch: float) -> dict[str, float]:
        dead = recipe == "rate-too-high" and layer == "layer4" and epoch == LAST and seed != 2
        return DEAD if dead else {"d_anchor": 0.5 + 0.01 * seed}

    results = case_results.results("training", planted)
    found = poor_against_standard(results, "rate-too-high")
    assert found.difference.runs == (1, 1)
    assert found.verdict == "unclear here"
    assert found.missing == (
        "rate-too-high@1: layer4 has no live unit at epoch 2; rate-too-high@3: layer4 has no live unit at epoch 2"
    )
    for other in (
        poor_against_standard(results, "rate-too-low"),
        poor_against_standard(results, "rate-too-high", "layer3"),
    ):
        assert (other.missing, other.difference.runs) == ("", (3, 3))


def test_a_share_of_no_interpretable_unit_is_none() -> None:
    def planted(recipe: str, seed: int, layer: str, epoch: float) -> dict[str, float]:
        none = {"n_interpretable": 0, "count of color": 0, "count of texture": 0}
        return none if epoch == 0 and seed == 3 else {}

    results = case_results.results("training", planted)
    by_text = {one.says: find(results, one) for one in depth_and_categories(results)}
    found = by_text["share of color and texture among interpretable units falls over epochs"]
    assert found.missing == "standard@3: layer4 has no interpretable unit at epoch 0"
    assert found.difference.runs == (2, 2)
    assert found.difference.reference == pytest.approx(20 / 50)


def test_what_is_not_there_is_said() -> None:
    few = case_results.results("training", lambda *_: {}, recipes=(STANDARD, "rate-too-low"))
    assert poor_against_standard(few, "rate-too-high").missing == "rate-too-high: no run"
    assert np.isnan(poor_against_standard(few, "rate-too-high").difference.difference)
    one = case_results.results("training", lambda *_: {}, seeds=(1,))
    alone = poor_against_standard(one, "rate-too-low")
    assert (alone.missing, alone.verdict) == ("", "unclear here")
    assert "unclear here (too few runs)" in claims.findings_table([alone])
    values = few.values
    gone = (values["recipe"] == "rate-too-low") & (values["layer"] == "layer4") & (values["seed"] == 1)
    without = replace(few, values=values[~gone])
    assert (
        poor_against_standard(without, "rate-too-low").missing
        == "rate-too-low@1: layer4 is not there at epoch 2"
    )
    assert poor_against_standard(without, "rate-too-low").difference.runs == (2, 2)


def test_categories_that_no_label_has_are_no_rows() -> None:
    results = case_results.results("training", lambda *_: {})
    names = [one.says.split(" among")[0] for one in depth_and_categories(results) if "among" in one.says]
    assert names == [f"share of {name}" for name in ("color and texture", "object", "part", "scene")]


def test_the_last_epoch_is_the_last_that_all_runs_have() -> None:
    results = case_results.results("training", lambda *_: {})
    values = results.values
    late = (values["recipe"] == "random-labels") & (values["epoch"] == LAST)
    assert replace(results, values=values[~late]).last == 1
    with pytest.raises(click.UsageError, match="fewer than two epochs"):
        _ = replace(results, values=values[values["epoch"] == LAST]).last
