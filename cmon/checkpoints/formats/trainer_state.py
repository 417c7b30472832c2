"""`trainer_state.json`: the epoch and step that the Hugging Face Trainer writes beside the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cmon.checkpoints.formats.notes import read_notes

NAME = "trainer_state.json"


def find_trainer_state(*folders: Path) -> list[Path]:
    """The first of the folders' trainer states as a list of one file; empty where none has one."""
    return [folder / NAME for folder in folders if (folder / NAME).is_file()][:1]


def read_trainer_state(*folders: Path) -> dict[str, Any]:
    """'epoch' and 'global_step' of the first trainer state, as far as they stand in it; else nothing.

    Raises CmonError when the file is damaged.
    """
    facts: dict[str, Any] = {}
    for file in find_trainer_state(*folders):
        state = read_notes(file, "a JSON object that the Trainer wrote")
        facts = {name: state[name] for name in ("epoch", "global_step") if name in state}
    return facts
