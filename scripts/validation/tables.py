"""Results as rows, Markdown for people and CSV for programs."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmon.evaluation.intervals import wilson
from cmon.workspace.files import atomic_write

Row = dict[str, Any]


@dataclass
class Tables:
    """What is printed, and all numbers behind it."""

    lines: list[str] = field(default_factory=list)
    numbers: list[Row] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.lines += [text, ""]
        print(text, end="\n\n", flush=True)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        lines = [header, ["---"] * len(header), *rows]
        self.say("\n".join(f"| {' | '.join(line)} |" for line in lines))

    def number(
        self, question: str, value: float, low: float | None = None, high: float | None = None, **of: Any
    ) -> None:
        """One number, of what, with its 95 % interval if it has one."""
        what = "; ".join(f"{name} {value}" for name, value in of.items())
        self.numbers.append({"question": question, "of": what, "value": value, "low": low, "high": high})

    def share(self, question: str, hits: int, trials: int, **of: Any) -> str:
        """A share with Wilson's interval, kept in full and returned as `0.75±.04`."""
        low, high = wilson(hits, trials)
        self.number(question, hits / trials if trials else float("nan"), low, high, **of, n=trials)
        if not trials:
            return ""
        return f"{hits / trials:.2f}±{(high - low) / 2:.2f}".replace("±0.", "±.")

    def write(self, markdown: Path, numbers: Path) -> None:
        markdown.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(markdown) as aside:
            aside.write_text("\n".join(self.lines).rstrip() + "\n", encoding="utf-8")
        with atomic_write(numbers) as aside, aside.open("w", newline="") as file:
            table = csv.DictWriter(file, ["question", "of", "value", "low", "high"], lineterminator="\n")
            table.writeheader()
            for row in self.numbers:
                rounded = {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()}
                table.writerow(rounded)
