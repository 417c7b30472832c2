import pandas as pd
from matplotlib.figure import Figure

from cmon.reporting.figures.side_by_side import shown_rows, side_by_side
from cmon.reporting.tables.counts import category_counts, concept_counts
from cmon.reporting.tables.differences import concept_differences


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
