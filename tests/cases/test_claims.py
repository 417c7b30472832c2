"""The program that tests the claims: which rows it writes, and what it says of studies and runs that are not there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from scripts.cases import claims
from scripts.cases.paper_claims import PAPER_CLAIMS
from tests.support import case_results
from tests.support.synthetic_tables import SPEED, World

SEEDS = (1, 2, 3)


def world(*recipes: str) -> World:
    runs = tuple(f"{recipe}@{seed}" for recipe in recipes for seed in SEEDS)
    return World(runs=runs, layers=("layer3", "layer4"), epochs=(0.0, 2.0), units=40, images=20)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(claims.main, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies: standard runs learn and poor ones do not; layer4 dies in rate-too-high@1."""
    out = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patch:
        for seed in SEEDS:
            patch.setitem(SPEED, f"standard@{seed}", 1.0)
            for recipe in ("rate-too-high", "rate-too-low", "random-labels"):
                patch.setitem(SPEED, f"{recipe}@{seed}", 0.06)

        def dies(row: Mapping[str, Any]) -> bool:
            return (row["run"], row["layer"]) == ("rate-too-high@1", "layer4") and row["epoch"] > 0

        case_results.write(
            out, "training", world("standard", "rate-too-high", "rate-too-low", "random-labels"),
            lambda tables: case_results.kill(tables, dies),
        )  # fmt: skip
        case_results.write(out, "adversarial", world("standard", "adversarial"))
    done = run(out)
    assert done.exit_code == 0, done.output
    return out


def test_every_row_stands_on_its_own(written: Path) -> None:
    table = pd.read_csv(written / "claims.csv", keep_default_na=False)
    assert set(table["claim"]) == {1, 2, 3}
    named = table["says"] + table["of"] + table["compared"]
    assert not named.duplicated().any()
    falls = table[table["says"] == "d_anchor falls in standard training"].iloc[0]
    assert (falls["of"], falls["compared"], falls["n"]) == (
        "standard, layer4",
        "epoch 2 − epoch 0",
        "3 pairs",
    )
    assert falls["verdict"] == "confirmed"
    assert float(falls["difference"]) == pytest.approx(float(falls["value"]) - float(falls["reference"]))
    assert float(falls["low"]) < float(falls["difference"]) < float(falls["high"]) < 0
    for path in set(table.loc[table["value"] != "", "table"]):
        assert "training.csv" in path or (written / path).exists(), path
    poor = table[table["says"].str.startswith("d_anchor is higher") & table["of"].str.startswith("layer4")]
    assert poor["verdict"].tolist() == ["confirmed"] * 3
    assert poor["role"].tolist() == ["claim"] * 3
    assert poor["n"].tolist() == ["2 and 3", "3 and 3", "3 and 3"]
    assert poor["missing"].iloc[0] == "rate-too-high@1: layer4 has no live unit at epoch 2"


def test_the_page_counts_the_verdicts_and_names_what_is_not_there(written: Path) -> None:
    table = pd.read_csv(written / "claims.csv", keep_default_na=False)
    text = (written / "claims.md").read_text()
    summary = [line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| \d\. ", line)]
    for number, (name, contrasts, *counts) in enumerate(summary, 1):
        counted = table[(table["claim"] == number) & (table["role"] == "claim")]
        assert name.startswith(f"{number}. ")
        assert int(contrasts) == len(counted)
        assert [int(one) for one in counts] == [
            (counted["verdict"] == name).sum() for name in claims.VERDICTS
        ]
    assert len(summary) == len(PAPER_CLAIMS)
    assert [line for line in text.splitlines() if line.startswith("Not tested")] == [
        "Not tested: the study `lottery` is not there.",
        "Not tested: the study `fine-tuning` is not there.",
    ]
    assert "- rate-too-high@1: layer4 has no live unit at epoch 2" in text
    assert "nan" not in re.findall(r"\bnan\b", text.casefold())
    assert "0.498 at epoch 0 and 0.402 at epoch 10" in text
    assert "| standard | adversarial |" in text, "the most frequent concepts"


def test_a_folder_without_studies_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.exit_code == 2
    assert "training/workspace, adversarial/workspace" in done.stderr
