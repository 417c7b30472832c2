import pandas as pd
import pytest
from matplotlib.figure import Figure

from cmon.reporting.figures.side_by_side import shown_rows, side_by_side
from cmon.reporting.tables.counts import category_counts, concept_counts
from cmon.reporting.tables.differences import concept_differences
from cmon.reporting.tables.seed_comparison import seed_comparison
from cmon.workspace.keys import GROUP


def planted(**labels: list[str]) -> pd.DataFrame:
    """Units of one layer per run at epoch 1: a label each, '-' for one that is not interpretable."""
    return pd.DataFrame(
        [
            {"run": run, "layer": "l", "epoch": 1.0, "unit": unit, "status": "ok", "label": label,
             "category": {"dog": "object", "red": "color"}.get(label), "interpretable": label != "-"}
            for run, names in labels.items()
            for unit, label in enumerate(names)
        ]
    )  # fmt: skip


def compared(units: pd.DataFrame) -> Figure:
    shown = shown_rows(units, concept_counts(units), category_counts(units), concept_differences(units), "l")
    return side_by_side(**shown)


def words_of(ax) -> dict[str, str]:
    return {text.get_text(): text.get_fontweight() for text in ax.texts}


def test_what_differs_beyond_chance_is_marked():
    units = planted(good=["dog"] * 30 + ["red"] * 5 + ["-"] * 5, bad=["red"] * 6 + ["-"] * 34)
    good, bad, shares = compared(units).axes
    assert words_of(good) == {"dog 30*": "bold", "red 5": "normal"}
    assert words_of(bad) == {"red 6": "normal"}
    assert words_of(shares) == {"75%*": "bold", "12%": "normal", "15%": "normal"}
    assert good.get_title(loc="left") == "good"


def test_equal_runs_differ_in_nothing_and_one_run_stands_beside_its_first_epoch():
    assert not any(
        "*" in word for ax in compared(planted(a=["dog"] * 9, b=["dog"] * 9)).axes for word in words_of(ax)
    )
    units = planted(a=["red"] * 20)
    later = units.assign(epoch=4.0, label="dog", category="object")
    first, last, _ = compared(pd.concat([units, later], ignore_index=True)).axes
    assert (first.get_title(loc="left"), list(words_of(first))) == ("epoch 1", ["red 20*"])
    assert (last.get_title(loc="left"), list(words_of(last))) == ("epoch 4", ["dog 20*"])


GOOD = {"good@1": ["dog"] * 30 + ["red"] * 5 + ["-"] * 5, "good@2": ["dog"] * 28 + ["red"] * 7 + ["-"] * 5,
        "good@3": ["dog"] * 29 + ["red"] * 5 + ["cat"] * 6}  # fmt: skip
BAD = {"bad@1": ["red"] * 6 + ["-"] * 34, "bad@2": ["red"] * 5 + ["-"] * 35, "bad@3": ["-"] * 40}


def over_seeds(units: pd.DataFrame) -> Figure:
    """The figure, from measures of categories alone."""
    categories = category_counts(units)
    shares = categories.pivot(index=GROUP, columns="category", values="share").add_prefix("category: ")
    in_order = pd.MultiIndex.from_frame(units[GROUP].drop_duplicates())
    comparison = seed_comparison(shares.assign(interpretable=0.5).reindex(in_order), 0.95)
    concepts, differences = concept_counts(units), concept_differences(units)
    return side_by_side(**shown_rows(units, concepts, categories, differences, "l", comparison))


def test_recipes_stand_side_by_side_with_mean_counts_and_what_welchs_test_tells_apart():
    figure = over_seeds(planted(**GOOD, **BAD))
    good, bad, shares = figure.axes
    assert words_of(good) == {"dog 29": "normal", "red 5.7": "normal", "cat 2": "normal"}
    assert words_of(bad) == {"red 3.7": "normal"}
    assert [ax.get_title(loc="left") for ax in (good, bad)] == ["good (3 runs)", "bad (3 runs)"]
    lengths = [bar.get_width() for bar in good.patches]
    assert lengths[1] / lengths[0] == pytest.approx(17 / 87)
    # object: 29 of 40 against 0; color does not pass: 5.7 against 3.7
    assert words_of(shares) == {"72%*": "bold", "14%": "normal", "9%": "normal"}
    assert "Welch's test over runs" in shares.get_xlabel()
    title = figure.get_suptitle().replace("\n", " ").replace("\u00a0", " ")
    assert title == "l at epoch 1: object leads in good (3 runs) (72% of units), color in bad (3 runs) (9%)"


def test_runs_without_repeats_are_not_tested_against_recipes():
    good, alone, shares = over_seeds(planted(**GOOD, alone=["red"] * 6 + ["-"] * 34)).axes
    assert [ax.get_title(loc="left") for ax in (good, alone)] == ["good (3 runs)", "alone"]
    assert words_of(alone) == {"red 6": "normal"}
    assert not any("*" in word for word in words_of(shares))
    assert shares.get_xlabel() == ""
    first = planted(alone=["red"] * 6 + ["-"] * 34, **GOOD, **BAD)
    assert not any("*" in word for word in words_of(over_seeds(first).axes[-1]))


def test_one_recipe_stands_beside_its_first_epoch_that_most_of_its_runs_have():
    units = planted(**GOOD)
    before = units.assign(epoch=0.0, label="red", category="color", interpretable=True)
    figure = over_seeds(pd.concat([before[before["run"] != "good@3"], units], ignore_index=True))
    alone, _ = figure.axes  # epoch 0 is not one of them
    assert list(words_of(alone)) == ["dog 29", "red 5.7", "cat 2"]
    figure = over_seeds(pd.concat([before, units], ignore_index=True))
    first, last, _ = figure.axes
    assert [ax.get_title(loc="left") for ax in (first, last)] == ["epoch 0", "epoch 1"]
    assert list(words_of(first)) == ["red 40"]
    assert (
        figure.get_suptitle().replace("\u00a0", " ").startswith("l in good (3 runs): color leads at epoch 0")
    )


def test_without_the_comparison_every_run_is_a_side():
    panels = compared(planted(**GOOD)).axes
    assert [ax.get_title(loc="left") for ax in panels[:3]] == list(GOOD)
