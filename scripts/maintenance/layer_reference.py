"""Which layers are read, and which are refused, as Markdown: from the cases that the tests run."""

from __future__ import annotations

from tests.support.layer_cases import CASES


def layers() -> str:
    """Two tables: what is read and how, and what is refused and in which words."""
    read = [(case.what, *str(case.reads).split(": ", 1)) for case in CASES if case.reads]
    refused = [(case.what, case.refuses) for case in CASES if case.refuses]
    parts = [
        "## Read\n",
        "| what a layer gives | read as | what one activation is made from |",
        "|---|---|---|",
    ]
    parts += [f"| {_cell(what)} | {axes} | {_cell(pooled)} |" for what, axes, pooled in read]
    parts += ["\n## Refused\n", "| what a layer gives | cmon's reason |", "|---|---|"]
    parts += [f"| {_cell(what)} | {_cell(str(reason))} |" for what, reason in refused]
    return "\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
