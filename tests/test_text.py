import pyarrow as pa

from cmon import text

TABLE = pa.table({"run": ["a|b\nc", "d"], "epoch": [0.0, 2.5], "d_anchor": [None, 1 / 3], "n_units": [1, 2]})


def test_csv_keeps_all_digits_and_leaves_unknown_cells_empty():
    assert text.csv(TABLE) == 'run,epoch,d_anchor,n_units\n"a|b\nc",0,,1\nd,2.5,0.3333333333333333,2\n'


def test_markdown_stays_one_table():
    assert text.markdown(TABLE).splitlines() == [
        "| run | epoch | d_anchor | n_units |",
        "| --- | --- | --- | --- |",
        "| a\\|b c | 0 |  | 1 |",
        "| d | 2.5 | 0.333 | 2 |",
    ]
