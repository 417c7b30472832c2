from pathlib import Path

import pytest

from cmon.errors import CmonError
from cmon.reporting import training_log


def read(tmp_path: Path, content: str) -> list[tuple]:
    path = tmp_path / "log.csv"
    path.write_text(content, encoding="utf-8")
    return list(training_log.read(path, "a").itertuples(index=False, name=None))


def test_numeric_columns_become_rows(tmp_path: Path):
    content = "Epoch, loss ,recipe,accuracy,done\n0,2.5,poor,0.1,True\n1,1.5,poor,,True\n"
    assert read(tmp_path, content) == [
        ("a", 0.0, "loss", 2.5),
        ("a", 1.0, "loss", 1.5),
        ("a", 0.0, "accuracy", 0.1),
    ]


def test_the_last_value_of_an_epoch_counts(tmp_path: Path):
    # As Lightning's CSVLogger writes: training by steps, validation in a row of its own.
    content = "epoch,step,train_loss,val_loss\n0,49,2.0,\n0,99,1.8,\n0,99,,1.9\n1,149,1.0,\n,150,7,7\n"
    found = read(tmp_path, content)
    assert ("a", 0.0, "train_loss", 1.8) in found
    assert ("a", 0.0, "val_loss", 1.9) in found
    assert ("a", 1.0, "train_loss", 1.0) in found
    assert len(found) == 5  # two epochs of step and train_loss, one of val_loss


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("step,loss\n1,2\n", "has no column epoch"),
        ("epoch,loss\n", "nothing to draw"),
        ("epoch,recipe\n0,poor\n", "nothing to draw"),
        ("epoch,loss\nfirst,1\n", "nothing to draw"),
        ("", "cannot be read"),
        ('epoch,loss\n0,1,2,3\n"', "cannot be read"),
    ],
)
def test_what_cannot_be_drawn_is_an_error(tmp_path: Path, content: str, message: str):
    with pytest.raises(CmonError, match=message):
        read(tmp_path, content)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path):
    with pytest.raises(CmonError, match="cannot be read"):
        training_log.read(tmp_path / "none.csv", "a")
    (tmp_path / "image.png").write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(CmonError, match="cannot be read"):
        training_log.read(tmp_path / "image.png", "a")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_a_spreadsheet_wrote_is_read_too(tmp_path: Path, encoding: str):
    path = tmp_path / "log.csv"
    path.write_bytes("epoch;loss\r\n0;2.5\r\n1;1.5\r\n".encode(encoding))
    found = training_log.read(path, "a")
    assert found["value"].tolist() == [2.5, 1.5]
