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
        ("epoch,loss\nfirst,1\n", "line 2: its epoch is no number"),
        ("epoch,loss\ninf,1\n", "line 2: its epoch is no number"),
        ("epoch,loss\n0,inf\n1,-Infinity\n", "nothing to draw"),
        ("epoch,loss\n,1\n,2\n", "nothing to draw"),
        ("", "is empty"),
        ("# only a comment\n", "has no column epoch"),
        ("0,1.5\n1,1.2\n", r"has no column epoch\n[^\n]*\n.*line 1: 0,1\.5"),
        ("epoch loss\n0 1.5\n", "has no column epoch"),
        # Rows that do not fit: never shifted.
        ('epoch,loss\n0,1,2,3\n"', "line 2: does not fit the header"),
        ("epoch,loss\n0,1,5\n1,0,9\n", "line 2: does not fit the header"),
        ("epoch,loss,\n0,1,5\n", "line 2: does not fit the header"),
        ("epoch,lr,loss\n0,0.1,2.5\n1,1.5\n2,0.1,0.5\n", "line 3: does not fit the header"),
        ("epoch,,loss\n0,7,2.5\n", "line 2: does not fit the header"),
        ('epoch,loss\n0,"1.5\n1,2\n', "line 3: cannot be read as CSV"),
        # Two columns of one name.
        ("epoch,loss,loss\n0,1,1.0\n1,2,3\n", "line 3: two columns are called 'loss'"),
        ("epoch,loss,Epoch\n0,1,0\n1,2,7\n", "line 3: two columns are called 'epoch'"),
        # What a comma is for.
        ('epoch,step\n0,"1,500"\n', "line 2, column step: a comma that may be for thousands"),
        ("epoch;loss;lr\n0;1,5;0,1\n1;0,9;0.01\n", "line 3: numbers with a decimal comma beside"),
        # Whose values they are.
        ("epoch,run,loss\n0,a,1\n1,a,2\n0,b,3\n", "line 4: gives loss of epoch 0 again, of another run"),
        ("epoch,fold,loss\n0,1,1\n0,2,3\n", "line 3: gives loss of epoch 0 again, of another fold"),
    ],
)
def test_what_cannot_be_drawn_is_an_error(tmp_path: Path, content: str, message: str):
    with pytest.raises(CmonError, match=message):
        read(tmp_path, content)


@pytest.mark.parametrize(
    "content",
    [
        "epoch,loss,acc\n0,2.5,0.1\n1,1.5,0.2\n",
        "epoch,loss,acc\n0,2.5,0.1,\n1,1.5,0.2,\n",  # pandas alone would take the epoch as an index
        "epoch,loss,acc,\n0,2.5,0.1,\n1,1.5,0.2\n",
        "epoch,loss,acc,,\n0,2.5,0.1,,,\n1,1.5,0.2,,\n",
        ",epoch,loss,acc\n0,0,2.5,0.1\n1,1,1.5,0.2\n",  # pandas' row numbers
        "   epoch ,\tloss,  acc\n   0,   2.5,    0.1\n 1 , 1.5 , 0.2\n",
        '"epoch","loss","acc"\n"0","2.5","0.1"\n"1","1.5","0.2"\n',
        "\ufeffepoch,loss,acc\r\n0,2.5,0.1\r\n\r\n,,\r\n1,1.5,0.2\r\n",
        "# lr 0.1, \"first try\nepoch,loss,acc\n0,2.5,0.1\n# resumed\n1,1.5,0.2\n",
        "# epoch,loss,acc\n0,2.5,0.1\n1,1.5,0.2\n",  # numpy.savetxt
        "epoch;loss;acc\n0;2,5;0,1\n1;1,5;0,2\n",
        "sep=;\nepoch;loss;acc\n0;2,5;0,1\n1;1,5;0,2\n",
        "epoch\tloss\tacc\n0\t2.5\t0.1\n1\t1.5\t0.2\n",
        'epoch,loss,acc\n0,"2,5","0,1"\n1,"1,5","0,2"\n',
"EPOCH,loss,acc\n0/90,2.5,0.1\n1/90,1.5,0.2\n",
        "epoch,loss,acc\nepoch 0,2.5,0.1\nEpoch_1,1.5,0.2\n",
        "epoch,loss,acc\n0.0,2.5,0.1\n1.0,1.5,0.2\n",
        "acc,epoch,loss\n0.1,0,2.5\n0.2,1,1.5\n",
        "epoch,loss,acc,epoch\n0,2.5,0.1,0.0\n1,1.5,0.2,1\n",
        "epoch,loss,acc,loss\n0,2.5,0.1,2.50\n1,1.5,0.2,1.5\n",
        "epoch,loss,acc\n0,2.5,0.1\nepoch,loss,acc\n1,1.5,0.2\n",
        "epoch,loss,acc\n0,2.5,0.1\nepoch,lr,acc,loss\n1,0.1,0.2,1.5\n",  # resumed with one metric more
        "epoch,loss,acc\n0,2.5,0.1\n1,1.5,0.2\n2,0.",  # stopped while it wrote
    ],
)  # fmt: skip
def test_every_form_of_one_log_gives_the_same(tmp_path: Path, content: str):
    found = {(epoch, metric): value for _, epoch, metric, value in read(tmp_path, content)}
    found.pop((1.0, "lr"), None)
    assert found == {(0.0, "loss"): 2.5, (1.0, "loss"): 1.5, (0.0, "acc"): 0.1, (1.0, "acc"): 0.2}


def test_the_seed_is_no_metric(tmp_path: Path):
    assert read(tmp_path, "epoch,seed,loss\n0,7,2\n1,7,1\n") == [("a", 0.0, "loss", 2), ("a", 1.0, "loss", 1)]


def test_columns_called_as_the_tables_are_are_metrics(tmp_path: Path):
    found = read(tmp_path, "epoch,value,metric,run\n0,1,2,3\n1,4,5,3\n")
    assert found == [
        ("a", 0.0, "value", 1),
        ("a", 1.0, "value", 4),
        ("a", 0.0, "metric", 2),
        ("a", 1.0, "metric", 5),
        ("a", 0.0, "run", 3),
        ("a", 1.0, "run", 3),
    ]


def test_a_list_of_metrics_gives_each_by_its_name(tmp_path: Path):
    found = read(tmp_path, "epoch,metric,value\n0,loss,1\n0,acc,2\n1,loss,3\n1,acc,4\n")
    assert found == [
        ("a", 0.0, "loss", 1),
        ("a", 1.0, "loss", 3),
        ("a", 0.0, "acc", 2),
        ("a", 1.0, "acc", 4),
    ]


def test_rows_of_training_and_validation_are_two_metrics(tmp_path: Path):
    content = "epoch,phase,host,loss\n0,train,x,1\n0,val,x,2\n1,train,y,3\n1,val,y,4\n"
    found = {(epoch, metric): value for _, epoch, metric, value in read(tmp_path, content)}
    assert found == {
        (0, "loss (train)"): 1,
        (0, "loss (val)"): 2,
        (1, "loss (train)"): 3,
        (1, "loss (val)"): 4,
    }


def test_times_do_not_tell_rows_apart(tmp_path: Path):
    content = "epoch,time,loss\n0,12:00,1\n0,12:01,2\n1,12:02,3\n1,12:03,4\n"
    assert read(tmp_path, content) == [("a", 0.0, "loss", 2), ("a", 1.0, "loss", 4)]


def test_what_was_given_up_before_a_resume_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Epochs 2 and 3 of the first try are not those of the training that the checkpoints are of."""
    content = "epoch,loss,acc\n0,1,10\n1,2,20\n2,3,30\n3,4,40\nepoch,loss,acc\n1,5,50\n2,6,60\n"
    found = {(epoch, metric): value for _, epoch, metric, value in read(tmp_path, content)}
    assert found == {
        (0, "loss"): 1,
        (1, "loss"): 5,
        (2, "loss"): 6,
        (0, "acc"): 10,
        (1, "acc"): 50,
        (2, "acc"): 60,
    }
    (record,) = caplog.records
    assert "in line 7 the log goes back to epoch 1" in record.getMessage()


@pytest.mark.parametrize("order", [[3, 2, 1, 0], [2, 0, 3, 1]])
def test_rows_in_another_order_lose_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, order: list[int]
):
    lines = "".join(f"{epoch},{epoch / 10}\n" for epoch in order for _ in range(2))
    found = read(tmp_path, "epoch,loss\n" + lines)
    assert [(epoch, value) for _, epoch, _, value in found] == [(0, 0), (1, 0.1), (2, 0.2), (3, 0.3)]
    assert not caplog.records


def test_what_is_left_out_is_said_with_its_line(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    content = "epoch,loss,acc,note\n0,inf,0.5,\n1,0.5,oops,a word\n,7,7,\n2,nan,0.7,\n3,-inf,,\n"
    assert read(tmp_path, content) == [("a", 1.0, "loss", 0.5)]
    said = [record.getMessage().partition("log.csv: ")[2] for record in caplog.records]
    assert said == [
        "rows without an epoch are left out: 1, the first in line 4",
        "the column acc is left out: in line 3 it has 'oops', which is no number",
        "infinite and immense values are left out: 2, the first in line 2, column loss",
    ]


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
