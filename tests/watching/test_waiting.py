from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

from cmon.errors import CmonError, OptionError
from cmon.watching.waiting import waiting_helps
from cmon.workspace.files import atomic_write


def caught(path: Path) -> CmonError:
    with pytest.raises(CmonError) as error, atomic_write(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    return error.value


def test_what_the_machine_may_mend_is_waited_for(tmp_path: Path) -> None:
    assert waiting_helps(caught(tmp_path / "table"))
    assert waiting_helps(OSError(errno.ESTALE, "Stale file handle"))
    assert waiting_helps(TimeoutError("a lock is held"))
    assert waiting_helps(torch.OutOfMemoryError("CUDA out of memory"))
    assert waiting_helps(MemoryError())


def test_what_only_the_user_can_mend_is_not() -> None:
    assert not waiting_helps(CmonError("layer4: no such layer"))
    assert not waiting_helps(OptionError("--top-k"))
    assert not waiting_helps(RuntimeError("a bug"))
    during = CmonError("two trainings lie in one folder")
    during.__context__ = OSError()  # happened before, and is not why
    assert not waiting_helps(during)
