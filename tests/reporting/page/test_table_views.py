import pandas as pd

from cmon.reporting.page.table_views import seed_tables
from cmon.reporting.tables.seed_comparison import seed_comparison
from cmon.reporting.tables.seeds import seeds
from tests.support.seeded import measured, students

VALUES = {"a@1": {0: 0.7, 8: 0.3}, "b@1": {0: 0.7, 8: 0.6}, "a@2": {0: 0.75, 8: 0.41}, "b@2": {8: 0.7}}


def test_what_holds_over_runs_is_shown_at_the_last_epoch_with_its_interval():
    measures = measured(VALUES)
    own, compared = seed_tables(seeds(measures, 0.95), seed_comparison(measures, 0.95))
    mean, low, high, _ = students([0.3, 0.41])
    change = students([-0.4, -0.34])
    rows = {(row[0], row[3]): row[1:3] + row[4:] for row in own.rows}
    assert rows["a", "d_anchor"] == [
        "l",
        "8",
        2,
        f"{mean:.3f} ({low:.3f} to {high:.3f})",
        f"{change[0]:.3f} ({change[1]:.3f} to {change[2]:.3f})",
    ]
    assert rows["b", "d_anchor"][-1] is None  # only one of its runs has an earlier epoch
    assert len(own.columns) == len(own.rows[0])
    (row,) = [row for row in compared.rows if row[4] == "d_anchor"]
    assert row[:5] == ["a", "b", "l", "8", "d_anchor"]
    assert row[5].startswith("0.295 (")
    assert row[6:] == [2, 2]
    assert len(compared.columns) == len(row)


def test_one_recipe_has_one_table_and_runs_that_stand_alone_have_none():
    one = measured({run: own for run, own in VALUES.items() if run != "b@2"})
    assert len(seed_tables(seeds(one, 0.95), seed_comparison(one, 0.95))) == 1
    alone = measured({"a@1": {0: 1.0}, "b": {0: 1.0}})
    assert seed_tables(seeds(alone, 0.95), seed_comparison(alone, 0.95)) == []
    mixed = measured({"a@1": {0: 1.0, 1: 2.0}, "a@2": {0: 1.0}})
    (view,) = seed_tables(seeds(mixed, 0.95), pd.DataFrame())
    assert {row[2] for row in view.rows} == {"0"}
