"""Adapters of PEFT, such as LoRA's, without the network that they change: named as such, never read."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path
from typing import Any

from cmon.checkpoints.formats.base import Claim
from cmon.checkpoints.formats.hugging_face import OTHER_FILES
from cmon.checkpoints.formats.notes import read_notes
from cmon.errors import CmonError

_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin", "adapter_model.pt")
_CONFIG = "adapter_config.json"


class AdapterFolder:
    """A folder with `adapter_model.safetensors` or `.bin`, and `adapter_config.json`."""

    name = "peft"
    suffixes: tuple[str, ...] = ()
    description = "folders of PEFT's adapters, which are refused"
    counts_steps = True
    inner = r"global_step\d+"

    def claim(self, folder: Path, files: Set[str]) -> Claim:
        if not files & set(_WEIGHTS):
            return Claim()
        others = (name for name in files if OTHER_FILES.match(name))
        return Claim((folder,), frozenset([*_WEIGHTS, *others]))

    def content_files(self, path: Path) -> list[Path]:
        return [path / name for name in (*_WEIGHTS, _CONFIG) if (path / name).is_file()]

    def read(self, path: Path, values: bool, trust_pickle: bool) -> dict[str, Any]:
        raise CmonError(
            f"{path}: holds {_read_kind(path)} without their network",
            expected="the weights of a whole network",
            found=", ".join(file.name for file in self.content_files(path)),
            hint="merge them into the network and save that: model = PeftModel.from_pretrained(network, folder); "
            "torch.save(model.merge_and_unload().state_dict(), 'epoch_1.pt')",
        )


def _read_kind(path: Path) -> str:
    """'adapters of PEFT (LORA)', as far as is known."""
    try:
        kind = read_notes(path / _CONFIG, "PEFT's settings").get("peft_type")
    except (OSError, CmonError):
        kind = None
    return f"adapters of PEFT ({kind[:40]})" if isinstance(kind, str) else "adapters of PEFT"
