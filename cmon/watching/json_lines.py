"""The numbers as JSON lines, for trackers that cmon does not know."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cmon.errors import CmonError
from cmon.watching.measures import Findings, Measures
from cmon.workspace.keys import epoch_number

Key = tuple[str, str, float]


class JsonLines:
    """A file, or standard output, to which each run, layer and epoch is added once.

    A row that has changed since, as after another layout, is added again: of several, the last one counts. A file
    that is there is gone on with, and standard output begins with all that the workspace has.
    """

    def __init__(self, path: Path | None) -> None:
        """path: None is standard output. Raises CmonError for a file that holds something else."""
        self.path = path
        self._written: dict[Key, dict[str, Any]] = {}
        if path is not None and path.exists():
            self._read(path)

    def write(self, findings: Findings) -> None:
        """Add the rows that are not there as they are now. Raises CmonError where the file cannot be written."""
        new = {key: row for key, row in map(_row, findings.measures) if self._written.get(key) != row}
        if not new:
            return
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in new.values())
        if self.path is None:
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            _append(self.path, text)
        self._written |= new

    def _read(self, path: Path) -> None:
        for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
            if not line.endswith(b"\n"):
                break  # was cut off, and will be replaced
            try:
                row = json.loads(line)
                key = row["run"], row["layer"], float(row["epoch"])
            except (ValueError, KeyError, TypeError) as error:
                raise CmonError(
                    f"--jsonl {path}, line {number}: was not written by `cmon watch`",
                    expected="a JSON object with run, layer and epoch",
                    found=line[:80].decode(errors="replace").strip(),
                    hint="give a file of its own",
                ) from error
            self._written[key] = row


def _row(one: Measures) -> tuple[Key, dict[str, Any]]:
    return (one.run, one.layer, one.epoch), asdict(one) | {"epoch": epoch_number(one.epoch)}


def _append(path: Path, text: str) -> None:
    """Add whole lines, in place of one at the end that a kill or a full disk cut off."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            whole = _end_of_lines(file)
            file.truncate(whole)
            try:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                file.truncate(whole)
                raise
    except OSError as error:
        raise CmonError(f"--jsonl {path}: cannot be written", found=error.strerror or str(error)) from error


def _end_of_lines(file: Any) -> int:
    """How many bytes of the file are whole lines."""
    at = file.seek(0, os.SEEK_END)
    while at:
        start = max(0, at - 4096)
        file.seek(start)
        newline = file.read(at - start).rfind(b"\n")
        if newline >= 0:
            return int(start + newline + 1)
        at = start
    return 0
