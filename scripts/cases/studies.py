"""The four use cases of Concept-Monitor (arXiv 2304.13346) as studies: which trainings each compares.

A training is a recipe and a seed, in the folder runs/RECIPE@SEED; each study is one workspace with one embedding,
STUDY/workspace, of all its trainings. Runs that share a name before the @ are repeats of each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Study:
    """Trainings that are compared in one workspace."""

    name: str
    recipes: tuple[str, ...]
    """In the order of tables and figures; the one that the others are held against stands first."""
    against_untrained: bool = False
    """Whether neurons are compared with the untrained network's, too; see `scripts/cases/against_untrained.py`."""

    @staticmethod
    def run_name(recipe: str, seed: int) -> str:
        """The name of a training's folder, and of its run in the workspace: `standard@1`."""
        return f"{recipe}@{seed}"

    def run_names(self, seeds: int) -> list[str]:
        """All runs of the study with seeds 1 to `seeds`, recipe by recipe."""
        return [self.run_name(recipe, seed) for recipe in self.recipes for seed in range(1, seeds + 1)]


STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        Study(
            "training", ("standard", "rate-too-high", "rate-too-low", "random-labels"), against_untrained=True
        ),
        Study("adversarial", ("standard", "adversarial")),
        Study("lottery", ("standard", "winning", "random-mask"), against_untrained=True),
        Study("fine-tuning", ("fine-tuned", "scratch")),
    )
}


def run_folder(out: Path, recipe: str, seed: int) -> Path:
    """Where the checkpoints and training.csv of one training are."""
    return out / "runs" / Study.run_name(recipe, seed)


def workspace_folder(out: Path, study: str) -> Path:
    """Where the tables and the report of one study are."""
    return out / study / "workspace"


def untrained_folder(out: Path, study: str) -> Path:
    """The workspace in which neurons of a study are compared with those of the untrained networks."""
    return out / study / "against-untrained"
