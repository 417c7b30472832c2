"""Folders of DeepSpeed: `global_step300/` with the weights in `mp_rank_00_model_states.pt`."""

from __future__ import annotations

import re
from collections.abc import Set
from pathlib import Path
from typing import Any

from cmon.checkpoints.formats import trainer_state
from cmon.checkpoints.formats.base import Claim
from cmon.checkpoints.formats.torch_file import read_torch_file
from cmon.errors import CmonError

_STATES = re.compile(r".*(model|optim)_states\.pt")
_WHOLE = "mp_rank_00_model_states.pt"


class DeepSpeedFolder:
    """`global_step300/`, or the folder of any other tag, with `*_model_states.pt`.

    The optimizer's files beside them (`zero_pp_rank_0_mp_rank_00_optim_states.pt`) are no checkpoints.
    """

    name = "deepspeed"
    suffixes: tuple[str, ...] = ()
    description = "folders of DeepSpeed"
    counts_steps = True
    inner = ""

    def claim(self, folder: Path, files: Set[str]) -> Claim:
        own = frozenset(name for name in files if _STATES.fullmatch(name))
        has_weights = any("model_states" in name for name in own)
        return Claim((folder,) if has_weights else (), own)

    def content_files(self, path: Path) -> list[Path]:
        return [*_list_states(path), *trainer_state.find_trainer_state(path, path.parent)]

    def read(self, path: Path, values: bool, trust_pickle: bool) -> dict[str, Any]:
        files = _list_states(path)
        if [file.name for file in files] != [_WHOLE]:
            raise _parts_error(path, [file.name for file in files])
        content = read_torch_file(files[0], values, trust_pickle)
        return content | trainer_state.read_trainer_state(path, path.parent)


def _list_states(folder: Path) -> list[Path]:
    return sorted(folder.glob("*model_states.pt"))


def _parts_error(path: Path, names: list[str]) -> CmonError:
    """The error for weights that lie in parts, each of which is no network."""
    found = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
    if any(name.startswith("zero_pp_rank") for name in names):
        return CmonError(
            f"{path}: DeepSpeed's ZeRO-3 keeps the weights in parts, one for each process",
            expected="the whole weights",
            found=found,
            hint="put them together with DeepSpeed's script, which lies in the folder above: python zero_to_fp32.py "
            f". whole/{path.name} -t {path.name}; then give the folder whole",
        )
    if any("expert" in name for name in names):
        kind = "the experts of a mixture apart from the rest"
    elif any(name.startswith("layer_") for name in names):
        kind = "each layer of a pipeline in a file of its own"
    else:
        kind = "the weights in parts (tensor parallelism)"
    return CmonError(
        f"{path}: DeepSpeed kept {kind}",
        expected=f"the whole weights in {_WHOLE}",
        found=found,
        hint="put the parts together in the training program, and save the state dict",
    )
