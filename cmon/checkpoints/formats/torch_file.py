"""Files that torch.save wrote: pickles, read as weights only unless the user trusts them."""

from __future__ import annotations

import pickle
import re
from collections.abc import Set
from pathlib import Path
from typing import Any

from cmon.checkpoints.formats.archive import START
from cmon.checkpoints.formats.base import Claim, claim_by_suffix, damaged, no_warnings
from cmon.checkpoints.formats.plain_data import plain_data_classes
from cmon.checkpoints.formats.recognise import is_torchscript, name_foreign, torchscript_error
from cmon.checkpoints.formats.torch_archive import read_archive
from cmon.checkpoints.formats.torch_old import read_before_archives
from cmon.checkpoints.formats.unpickling import TooMuch
from cmon.errors import CmonError
from cmon.regular_files import NotAFile, open_regular
from cmon.workspace.files import printable_path

_EXPECTED = "a file that torch.save wrote"


class TorchFile:
    """`epoch_3.pt`, `checkpoint.pth.tar`, `last.ckpt`."""

    name = "torch"
    suffixes: tuple[str, ...] = (".pth.tar", ".pt.latest", ".pt.best", ".pt", ".pth", ".ckpt")
    """MadryLab's robustness puts `.latest` and `.best` behind `.pt`."""
    description = "files that end in " + ", ".join(suffixes)
    counts_steps = False
    inner = ""

    def claim(self, folder: Path, files: Set[str]) -> Claim:
        return claim_by_suffix(folder, files, self.suffixes)

    def content_files(self, path: Path) -> list[Path]:
        return [path]

    def read(self, path: Path, values: bool, trust_pickle: bool) -> dict[str, Any]:
        return read_torch_file(path, values, trust_pickle)


def read_torch_file(path: Path, values: bool, trust_pickle: bool) -> dict[str, Any]:
    """The dict in one file, see `Format.read`; a whole network (only with `trust_pickle`) as {'model': network}."""
    import torch

    content = _load(path, values, trust_pickle)
    if isinstance(content, torch.nn.Module):
        return {"model": content}
    if not isinstance(content, dict):
        raise CmonError(
            f"{path}: holds no state dict",
            expected="a dict of tensors, or one that holds such a dict",
            found=type(content).__name__,
        )
    return content


def _load(path: Path, values: bool, trust_pickle: bool) -> Any:
    import torch

    try:
        with open_regular(path) as file:
            is_zip = file.read(4) == START
            if is_zip and not trust_pickle and is_torchscript(path):
                raise torchscript_error(path)
            file.seek(0)
            with no_warnings(), torch.serialization.safe_globals(plain_data_classes()):
                if trust_pickle:
                    named = printable_path(path) == path.as_posix()  # torch opens no name that is not UTF-8
                    mapped = named and is_zip and not values  # then nothing is read before it is used
                    source = path if named else file
                    return torch.load(source, map_location="cpu", weights_only=False, mmap=mapped)
                return read_archive(file, values, check=False) if is_zip else read_before_archives(file)
    except pickle.UnpicklingError as error:
        code = [] if isinstance(error, TooMuch) else _list_code(path, str(error))
        if trust_pickle or not code:
            raise name_foreign(path) or damaged(path, _EXPECTED, error) from error
        raise CmonError(
            f"{path}: refused, since reading it would run code",
            expected="tensors and plain values",
            found="objects of " + ", ".join(code[:5]) + (" ..." if len(code) > 5 else ""),
            hint="save the state dict instead: torch.save(model.state_dict(), path); or, only if you trust "
            "whoever made the file, --trust-pickle",
        ) from error
    except (CmonError, FileNotFoundError, PermissionError, NotAFile):
        raise
    except Exception as error:  # broken files fail in any way: IndexError, OSError, RecursionError, ...
        if trust_pickle and isinstance(error, (ImportError, AttributeError)):
            raise CmonError(
                f"{path}: the code that its pickle needs cannot be imported",
                found=f"{type(error).__name__}: {error}",
                hint="install it, or put it on PYTHONPATH",
            ) from error
        raise name_foreign(path) or damaged(path, _EXPECTED, error) from error


def _list_code(path: Path, message: str) -> list[str]:
    """Names of the classes and functions that a refused pickle would import; empty if they cannot be found.

    message: torch's own, which names the first one.
    """
    import torch

    try:
        with torch.serialization.safe_globals(plain_data_classes()), open_regular(path) as file:
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(file))
    except Exception:  # torch cannot list those of its old format
        return re.findall(r"GLOBAL ([\w.]+)", message)[:1]
