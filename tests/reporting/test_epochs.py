import pandas as pd

from cmon.reporting.epochs import first_middle_last, last_epochs


def test_epochs_that_are_shown():
    assert first_middle_last([4.0, 0.0, 1.0, 2.0, 3.0]) == [0, 2, 4]
    assert first_middle_last([1.0, 0.5]) == [0.5, 1]
    assert first_middle_last([7.0]) == [7]


def test_every_run_has_its_own_last_epoch():
    rows = pd.DataFrame([("a", 0.0), ("a", 1.0), ("b", 0.0)], columns=["run", "epoch"])
    assert last_epochs(rows).to_numpy().tolist() == [["a", 1.0], ["b", 0.0]]
