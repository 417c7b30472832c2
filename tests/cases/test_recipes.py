"""Each recipe does what it says: standard, poor, fine-tuned and adversarial trainings."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import torch

from scripts.cases.fine_tuning import RATE, fine_tuned, given_recipe
from scripts.cases.recipes import RECIPES, needs
from scripts.cases.setup import Setup
from scripts.cases.studies import STUDIES
from scripts.cases.trainer import load_weights, permuted, train


def log(setup: Setup, recipe: str) -> list[dict[str, str]]:
    with (setup.folder(recipe, 1) / "training.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def change(setup: Setup, recipe: str) -> float:
    """How far the parameters of the convolutions went, as a share of their first norm."""
    before, after = (load_weights(setup.folder(recipe, 1), epoch) for epoch in (0, 2))
    names = [name for name, tensor in before.items() if tensor.ndim == 4]
    moved = sum(float((after[name] - before[name]).square().sum()) for name in names)
    return (moved / sum(float(before[name].square().sum()) for name in names)) ** 0.5


def test_every_recipe_of_a_study_is_there(trained: Setup) -> None:
    assert {recipe for study in STUDIES.values() for recipe in study.recipes} | {"base"} == set(RECIPES)
    for study in STUDIES.values():
        assert study.run_names(2)[:2] == [f"{study.recipes[0]}@1", f"{study.recipes[0]}@2"]


def test_a_training_leaves_every_epoch_its_classes_and_a_row_for_each(trained: Setup) -> None:
    for recipe in RECIPES:
        folder = trained.folder(recipe, 1)
        names = {path.name for path in folder.iterdir()} - {"mask.pt"}
        assert names == {
            *("epoch_0.pt", "epoch_1.pt", "epoch_2.pt", "training.csv", "classes.txt", "recipe.json")
        }
        rows = log(trained, recipe)
        assert [row["epoch"] for row in rows] == ["0", "1", "2"]
        assert {row["recipe"] for row in rows} == {recipe}
        assert {row["seed"] for row in rows} == {"1"}
        assert ("robust_accuracy" in rows[0]) == (recipe in STUDIES["adversarial"].recipes)
    assert (trained.folder("standard", 1) / "classes.txt").read_text() == "blue\ngreen\ngrey\nred\n"


def test_all_start_at_the_weights_of_the_seed(trained: Setup) -> None:
    untrained = trained.untrained(4, seed=1).state_dict()
    for recipe in ("standard", "rate-too-high", "rate-too-low", "random-labels", "adversarial"):
        start = load_weights(trained.folder(recipe, 1), 0)
        assert all(torch.equal(start[name], tensor) for name, tensor in untrained.items())
    assert not torch.equal(trained.untrained(4, seed=2).state_dict()["fc.weight"], untrained["fc.weight"])


def test_standard_learns_and_the_poor_ones_do_not(trained: Setup) -> None:
    last = {recipe: log(trained, recipe)[-1] for recipe in RECIPES}
    assert float(last["standard"]["test_accuracy"]) > 0.6
    assert float(last["rate-too-low"]["test_loss"]) > float(last["standard"]["test_loss"]) + 0.2
    start, first = (float(row["test_loss"]) for row in log(trained, "rate-too-high")[:2])
    assert first > 2 * start  # four colors are found again even so; the drawn world's objects are not
    assert float(last["random-labels"]["test_accuracy"]) < float(last["standard"]["test_accuracy"]) - 0.2


def test_rates_change_the_weights_as_much_as_they_say(trained: Setup) -> None:
    standard = change(trained, "standard")
    assert change(trained, "rate-too-low") < 0.01 * standard
    assert change(trained, "rate-too-high") > 10 * standard


def test_random_labels_are_a_permutation_that_the_seed_chooses(trained: Setup) -> None:
    pictures = trained.task.train
    one, again, two = (permuted(pictures, seed) for seed in (1, 1, 2))
    assert torch.equal(one.classes.bincount(), pictures.classes.bincount())
    assert torch.equal(one.classes, again.classes)
    assert not torch.equal(one.classes, two.classes)
    assert 0.1 < float((one.classes == pictures.classes).float().mean()) < 0.45
    assert one.files == pictures.files


def test_fine_tuning_starts_from_the_given_weights_and_leaves_their_file_alone(
    trained: Setup, tmp_path: Path
) -> None:
    assert needs("fine-tuned", trained) == (given_recipe(trained),) == ("base",)
    file = trained.folder("base", 1) / "epoch_2.pt"
    content = file.read_bytes()
    train(fine_tuned(trained, 1), tmp_path / "fine-tuned@1")
    assert file.read_bytes() == content
    given = load_weights(trained.folder("base", 1), 2)
    start, end = (load_weights(tmp_path / "fine-tuned@1", epoch) for epoch in (0, 2))
    assert list(start) == list(given)
    for name in given:
        assert torch.equal(start[name], given[name]) == (name not in ("fc.weight", "fc.bias")), name
    assert all(not torch.equal(start[name], end[name]) for name in ("conv1.weight", "fc.weight"))


def test_fine_tuning_is_slower_than_scratch_and_both_have_the_other_classes(trained: Setup) -> None:
    tuned, scratch = fine_tuned(trained, 1), RECIPES["scratch"](trained, 1)
    assert tuned.settings.learning_rate == RATE * scratch.settings.learning_rate
    assert tuned.pictures.names == scratch.pictures.names == ("grey", "red")
    assert RECIPES["base"](trained, 1).pictures.names == ("blue", "green")
    assert torch.equal(
        load_weights(trained.folder("scratch", 1), 0)["conv1.weight"],
        trained.untrained(2, seed=1).state_dict()["conv1.weight"],
    )


def test_an_adversarial_training_withstands_more(trained: Setup) -> None:
    standard, adversarial = RECIPES["standard"](trained, 1), RECIPES["adversarial"](trained, 1)
    assert standard.settings.adversary is None
    assert adversarial.settings.adversary is not None
    assert adversarial.settings.adversary.steps >= 3
    examiner = standard.settings.examiner
    assert examiner is not None
    assert (examiner, examiner.steps) == (adversarial.settings.examiner, 20)
    for row in (*log(trained, "standard"), *log(trained, "adversarial")):
        assert 0 <= float(row["robust_accuracy"]) <= float(row["test_accuracy"])


def test_changes_of_what_a_training_starts_from_are_seen(trained: Setup) -> None:
    """Of a changed standard training, all that starts from it is made anew."""
    changed = replace(trained, epochs=3)
    for recipe, make in RECIPES.items():
        assert make(trained, 1).finished(trained.folder(recipe, 1))
        assert not make(changed, 1).finished(trained.folder(recipe, 1))
        assert not make(trained, 2).finished(trained.folder(recipe, 1))
