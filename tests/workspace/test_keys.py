import pandas as pd

from cmon.workspace.keys import sort_rows


def test_order_is_that_of_appearance_and_then_of_numbers():
    keys = [("z", "l", 10.0, 1), ("a", "l", 2.0, 0), ("z", "l", 2.0, 3)]
    shuffled = pd.DataFrame(keys, columns=["run", "layer", "epoch", "unit"])
    found = sort_rows(shuffled)[["run", "epoch"]].to_numpy().tolist()
    assert found == [["z", 2.0], ["z", 10.0], ["a", 2.0]]
