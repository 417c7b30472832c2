import numpy as np
import pandas as pd
import pytest

from cmon.reporting.origins import origin
from cmon.reporting.tracking import TrackedUnit

FRAME = pd.DataFrame({"run": ["a", "b"], "x": [0.5, np.nan], "unit": [1, 2], "images": [[1, 2], []]})


def test_equal_contents_have_equal_origins():
    again = FRAME.copy().set_axis([7, 9])
    assert origin(FRAME, [1, "a"]) == origin(again, (1, "a"))
    wide = np.arange(12).reshape(2, 6)
    assert origin(wide[:, :3]) == origin(wide[:, :3].copy())
    assert origin(TrackedUnit("l", 1, "why")) == origin(TrackedUnit("l", 1, "why"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((FRAME,), (FRAME.assign(x=[0.5, 0.0]),)),
        ((FRAME,), (FRAME.iloc[::-1],)),
        ((FRAME,), (FRAME.rename(columns={"x": "y"}),)),
        ((FRAME,), (FRAME.assign(images=[[1], [2]]),)),
        ((FRAME,), (FRAME.astype({"unit": "int32"}),)),
        ((FRAME, FRAME), (pd.concat([FRAME, FRAME]),)),
        (("ab", "c"), ("a", "bc")),
        ((["a"], ["b"]), (["a", "b"], [])),
        (({"a": 1},), ({"b": 1},)),
        ((1,), ("1",)),
        ((1.0,), (True,)),
        ((None,), ("null",)),
        ((np.zeros((2, 3)),), (np.zeros((3, 2)),)),
        ((TrackedUnit("l", 1, "why"),), (TrackedUnit("l", 2, "why"),)),
    ],
)
def test_other_contents_have_other_origins(one, other):
    assert origin(*one) != origin(*other)


def test_another_version_of_cmon_or_matplotlib_makes_another_origin(monkeypatch):
    before = origin("x")
    monkeypatch.setattr("cmon.__version__", "0.0.1")
    assert origin("x") != before
    monkeypatch.undo()
    monkeypatch.setattr("cmon.reporting.origins.version", lambda name: f"another {name}")
    assert origin("x") != before


def test_what_has_no_content_of_its_own_has_no_origin():
    with pytest.raises(TypeError, match="no origin for object"):
        origin(object())
