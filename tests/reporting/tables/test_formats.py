import pyarrow as pa
import pytest

from cmon.reporting.tables import formats

TABLE = pa.table({"run": ["a|b\nc", "d"], "epoch": [0.0, 2.5], "d_anchor": [None, 1 / 3], "n_units": [1, 2]})


def test_csv_keeps_all_digits_and_leaves_unknown_cells_empty():
    assert formats.csv(TABLE) == 'run,epoch,d_anchor,n_units\n"a|b\nc",0,,1\nd,2.5,0.3333333333333333,2\n'


def test_markdown_stays_one_table():
    lines = ["| run | epoch | d_anchor | n_units |", "| --- | --- | --- | --- |", "| a\\|b c | 0 |  | 1 |"]
    assert formats.markdown(TABLE).splitlines() == [*lines, "| d | 2.5 | 0.333 | 2 |"]
    assert formats.markdown(TABLE, "What it is.").startswith("What it is.\n\n| run |")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<script>alert(1)</script>", r"\<script>alert(1)\</script>"),
        ("*bold* and _slanted_", r"\*bold\* and \_slanted\_"),
        ("d_anchor_clip", "d_anchor_clip"),
        ("[a](http://x) `b`", r"\[a\](http://x) \`b\`"),
        ("a\\|b", r"a\\\|b"),
        ("&lt; ~~no~~", r"\&lt; \~\~no\~\~"),
    ],
)
def test_names_are_no_markup(name: str, shown: str):
    assert formats.markdown_text(name) == shown


def test_small_numbers_keep_their_digits():
    shown = [formats.short_number(value) for value in (0.0, 0.5, 12.34567, 1.23e-5, -4e-7, float("nan"))]
    assert shown == ["0.000", "0.500", "12.346", "1.2e-05", "-4.0e-07", ""]
