"""What the tests of the stage share."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmon.images import decoding, preprocessing


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are decoded, in order; the decoding itself is the real one."""
    seen: list[str] = []
    real = decoding.decode_with_notes

    def decode(path: Path) -> decoding.Picture:
        seen.append(path.name)
        return real(path)

    monkeypatch.setattr(preprocessing, "decode_with_notes", decode)
    return seen
