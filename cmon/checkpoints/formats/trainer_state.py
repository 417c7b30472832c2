"""`trainer_state.json`: the epoch and step that the Hugging Face Trainer writes beside the weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cmon.checkpoints.formats.base import damaged

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
        try:
            state = json.loads(file.read_bytes())
            if not isinstance(state, dict):
                raise ValueError(f"a {type(state).__name__}")
        except ValueError as error:
            raise damaged(file, "a JSON object that the Trainer wrote", error) from error
        facts = {name: state[name] for name in ("epoch", "global_step") if name in state}
    return facts
