import pandas as pd
import pytest

from cmon.reporting.repeats import Recipe, recipe_of, recipes, repeated, shared_epochs, titles


@pytest.mark.parametrize(
    ("run", "recipe"),
    [
        ("standard@1", "standard"),
        ("standard@seed 2", "standard"),
        ("me@home@3", "me@home"),  # the last one separates
        ("a@@1", "a@"),
        ("standard", None),
        ("@1", None),
        ("standard@", None),
        (" @1", None),
        ("standard@ ", None),
        ("@", None),
        ("", None),
    ],
)
def test_the_name_before_the_last_at_is_the_recipe(run: str, recipe: str | None):
    assert recipe_of(run) == recipe


def test_every_run_is_in_one_recipe_in_the_order_of_first_runs():
    runs = ["b@1", "alone", "a@1", "b@2", "single@7", "a@x@1", "b@1", "a@x@2"]
    assert recipes(runs) == [
        Recipe("b", ("b@1", "b@2")),
        Recipe("alone", ("alone",)),
        Recipe("a@1", ("a@1",)),
        Recipe("single@7", ("single@7",)),
        Recipe("a@x", ("a@x@1", "a@x@2")),
    ]
    assert [recipe.name for recipe in repeated(runs)] == ["b", "a@x"]
    assert titles(runs)["b@2"] == "b (2 runs)"
    assert titles(runs)["single@7"] == "single@7"


def test_a_run_that_is_called_as_a_recipe_is_no_repeat_of_it():
    assert recipes(["standard", "standard@1", "standard@2"]) == [
        Recipe("standard", ("standard",)),
        Recipe("standard", ("standard@1", "standard@2")),
    ]
    assert recipes(["standard", "standard@1"]) == [
        Recipe("standard", ("standard",)),
        Recipe("standard@1", ("standard@1",)),
    ]


def test_shared_epochs_are_those_of_most_runs():
    epochs = {"a@1": [0, 1, 2], "b": [0, 5], "a@2": [0, 1], "c@1": [0, 1], "c@2": [2], "a@3": [1, 0, 3]}
    rows = pd.DataFrame([(run, epoch) for run, own in epochs.items() for epoch in own for _ in range(2)])
    found = shared_epochs(rows.set_axis(["run", "epoch"], axis=1))
    assert found.to_numpy().tolist() == [
        ["a (3 runs)", 0],
        ["a (3 runs)", 1],
        ["b", 0],
        ["b", 5],
        ["c (2 runs)", 0],
        ["c (2 runs)", 1],
        ["c (2 runs)", 2],
    ]
