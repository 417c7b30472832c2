r"""Tables of results as LaTeX, to be \input into a paper that loads booktabs and longtable.

Whatever stands in a cell is text: no name can end a row, open a group or run a command.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from cmon.text import rows_of, short_number

LONGEST_FLOAT = 40
"""Rows that fit on a page; a longer table breaks over pages."""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",  # these three print as other signs in TeX's old text encoding
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"{\char96}",  # the commands with names for these two are not in every encoding
    '"': r"{\char34}",
    "[": "{[}",  # after the \\ of the row before it would be taken as that command's argument
    "*": "{*}",
}
_LIGATURES = re.compile(r"([-'?!,])(?=[-'`,])")
_PLAIN = frozenset(map(chr, range(0x20, 0x7F))) | frozenset(
    "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖ×ØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõö÷øùúûüýÿĀāĂăĆćĈĉĊċČčĎďĒēĔĕĖėĚěĜĝĞğĠġĢģĤĥĨĩĪīĬĭİıĴĵĶķĹĺĻļĽľŁłŃńŅņŇň"
    "ŌōŎŏŐőŒœŔŕŖŗŘřŚśŜŝŞşŠšŢţŤťŨũŪūŬŭŮůŰűŴŵŶŷŸŹźŻżŽž–—‘’“”…·€£§©°±"
)
"""What every TeX engine sets in its standard encoding."""
_ANY_CHARACTER = (
    "% Characters that pdfTeX has no font for: themselves in XeTeX and LuaTeX, their number elsewhere.\n"
    r"\providecommand{\cmonchar}[2]{\ifdefined\XeTeXversion#2\else\ifdefined\directlua#2\else[U+#1]\fi\fi}"
    "\n"
)


def escape(text: str) -> str:
    """Text that LaTeX sets as it stands, in one line."""
    text = _LIGATURES.sub(r"\1" + "\0", " ".join(text.replace("\0", " ").split()))
    return "".join(_escaped(character) for character in text)


def latex(table: pa.Table, name: str, caption: str) -> str:
    r"""A float with a tabular of booktabs, or a longtable if it is too long for a page.

    `x`, `x_low`, `x_high` become one column, `x [low, high]`. Numbers have three decimals. `\label{tab:name}`,
    with underscores as hyphens.
    """
    intervals = [column for column in table.column_names if f"{column}_low" in table.column_names]
    ends = {f"{column}{end}" for column in intervals for end in ("_low", "_high")}
    shown = [column for column in table.column_names if column not in ends]
    right = [column for column in shown if column == "epoch" or _is_number(table.schema.field(column).type)]
    columns = "".join("r" if column in right else "l" for column in shown)
    head = [
        f"{escape(column)} {{[}}low, high]" if column in intervals else escape(column) for column in shown
    ]
    body = [[_cell(row, column, column in intervals) for column in shown] for row in rows_of(table)]
    label = f"\\caption{{{escape(caption)}}}\\label{{tab:{name.replace('_', '-')}}}"
    long = len(body) > LONGEST_FLOAT
    lines = _longtable(columns, head, body, label) if long else _float(columns, head, body, label)
    packages = r"\usepackage{booktabs}" + (r" and \usepackage{longtable}" if long else "")
    text = "\n".join(lines)
    needed = _ANY_CHARACTER if r"\cmonchar" in text else ""
    return f"% Needs {packages}. Put it into a text by \\input.\n{needed}{text}\n"


def _escaped(character: str) -> str:
    if character == "\0":  # parts what TeX would join: two hyphens, two quotes, ...
        return "{}"
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character in _PLAIN:
        return character
    return f"\\cmonchar{{{ord(character):04X}}}{{{character}}}" if character.isprintable() else "?"


def _float(columns: str, head: Sequence[str], body: Sequence[Sequence[str]], label: str) -> list[str]:
    return [
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        label,
        f"\\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _row(head),
        r"\midrule",
        *map(_row, body),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def _longtable(columns: str, head: Sequence[str], body: Sequence[Sequence[str]], label: str) -> list[str]:
    top = [r"\toprule", _row(head), r"\midrule"]
    return [
        r"\begingroup\footnotesize\setlength{\tabcolsep}{4pt}",
        f"\\begin{{longtable}}{{{columns}}}",
        label + r"\\",
        *top,
        r"\endfirsthead",
        *top,
        r"\endhead",
        r"\bottomrule",
        r"\endfoot",
        *map(_row, body),
        r"\end{longtable}",
        r"\endgroup",
    ]


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(row: Mapping[str, Any], column: str, with_interval: bool) -> str:
    value = _value(row[column])
    if not (with_interval and value):
        return value
    return f"{value} {{[}}{_value(row[f'{column}_low'])}, {_value(row[f'{column}_high'])}]"


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return short_number(value).replace("-", "$-$")
    return escape(str(value))


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)
