r"""Tables of results as LaTeX, to be \input into a paper that loads booktabs and longtable.

Whatever is in a cell is text: no name can end a row, open a group or run a command. pandas' Styler.to_latex would
replace only `_float` and `_longtable`, knows no size, and adds a row "Continued on next page" to long tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from cmon.printable import printable
from cmon.reporting.tables.formats import rows_of, short_number

LONGEST_FLOAT = 40
"""Rows that fit on a page; a longer table breaks over pages."""
_LONGEST_LINE = 10
"""Characters in a line of a column's heading."""

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
    r"""Text that LaTeX prints as it is, in one line.

    >>> print(escape("50 % of layer_1"))
    50 \% of layer\_1
    """
    text = _LIGATURES.sub(r"\1" + "\0", printable(" ".join(text.replace("\0", " ").split())))
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
    headings = [_heading_lines(column, column in intervals) for column in shown]
    head = [
        _stacked(lines, "r" if column in right else "l")
        for column, lines in zip(shown, headings, strict=True)
    ]
    body = [[_cell(row, column, column in intervals) for column in shown] for row in rows_of(table)]
    label = f"\\caption{{{escape(caption)}}}\\label{{tab:{name.replace('_', '-')}}}"
    size = _size(headings, body)
    long = len(body) > LONGEST_FLOAT
    lines = _longtable(columns, head, body, label, size) if long else _float(columns, head, body, label, size)
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


def _float(
    columns: str, head: Sequence[str], body: Sequence[Sequence[str]], label: str, size: str
) -> list[str]:
    return [
        r"\begin{table}",
        rf"\centering{size}",
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


def _longtable(
    columns: str, head: Sequence[str], body: Sequence[Sequence[str]], label: str, size: str
) -> list[str]:
    top = [r"\toprule", _row(head), r"\midrule"]
    return [
        rf"\begingroup{size}",
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


def _size(headings: Sequence[Sequence[str]], body: Sequence[Sequence[str]]) -> str:
    """Smaller where the table would be wider than the text of a standard article (345 points)."""
    columns = zip(*body, strict=True) if body else ([] for _ in headings)
    widest = [max(map(len, [*lines, *cells])) for lines, cells in zip(headings, columns, strict=True)]
    if sum(4 * characters + 8 for characters in widest) <= 345:
        return r"\footnotesize\setlength{\tabcolsep}{4pt}"
    return r"\scriptsize\setlength{\tabcolsep}{2pt}"


def _heading_lines(column: str, with_interval: bool) -> list[str]:
    """A column's name, broken after underscores where it is long: names are longer than numbers."""
    lines = [""]
    for part in re.findall(r"[^_]*_|[^_]+$", column):
        if lines[-1] and len(lines[-1]) + len(part) > _LONGEST_LINE:
            lines.append("")
        lines[-1] += part
    return [*map(escape, lines), *(["{[}low, high]"] if with_interval else [])]


def _stacked(lines: Sequence[str], side: str) -> str:
    if len(lines) == 1:
        return lines[0]
    joined = r"\\".join(lines)
    return rf"\begin{{tabular}}[b]{{@{{}}{side}@{{}}}}{joined}\end{{tabular}}"


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
