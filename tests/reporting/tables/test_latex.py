from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest

from cmon.reporting.tables import latex

HOSTILE = [
    r"a & b % c _ d # e $ f { g } h ~ i ^ j \ k",
    r"\end{tabular}\input{secret}",
    "[2cm] at the start",
    "*",
    "\\\\[1cm]",
    "two\nlines\tand\0nul",
    "犬 and ←, − and 😀",
    "Ærøskøbing, naïve, Łódź, straße",
    "\"a\" `b` 'c' --- ?` <<d>> ,,e",
    "$^_\\$",
    "}{",
    "^^41 ^^M",
    "",
]


def read_back(tex: str) -> str:
    """What LaTeX prints of an escaped text: the twin of `escape`, written from LaTeX's rules alone.

    Fails at a special character that is not escaped.
    """
    named = {"textbackslash": "\\", "textasciicircum": "^", "textasciitilde": "~", "textless": "<",
             "textgreater": ">", "textbar": "|"}  # fmt: skip
    found, at = "", 0
    while at < len(tex):
        rest = tex[at:]
        if match := re.match(r"\\cmonchar\{[0-9A-F]+\}\{(.)\}", rest):
            found += match.group(1)
        elif match := re.match(r"\{\\char(\d+)\}", rest):
            found += chr(int(match.group(1)))
        elif match := re.match(r"\\([A-Za-z]+)\{\}", rest):
            found += named[match.group(1)]
        elif (match := re.match(r"\\([&%$#_{}])", rest)) or (match := re.match(r"\{([\[*]?)\}", rest)):
            found += match.group(1)
        else:
            match = re.match(r"[^\\{}&%$#_^~]", rest)
            assert match, f"not escaped: {rest!r}"
            found += match.group(0)
        at += match.end()
    return found


@pytest.mark.parametrize("name", HOSTILE)
def test_what_latex_prints_is_the_name(name: str):
    assert read_back(latex.escape(name)) == " ".join(name.replace("\0", " ").split())


@pytest.mark.parametrize("pair", ["--", "''", "``", "?`", "!`", ",,"])
def test_signs_are_not_joined(pair: str):
    assert pair not in latex.escape(f"a{pair}b")


def table_of(rows: int) -> pa.Table:
    return pa.table(
        {
            "run": [HOSTILE[row % len(HOSTILE)] for row in range(rows)],
            "epoch": [row / 2 for row in range(rows)],
            "d_anchor": [None if row == 1 else -row / 3 for row in range(rows)],
            "d_anchor_low": [row / 3 - 0.1 for row in range(rows)],
            "d_anchor_high": [1e-5 for row in range(rows)],
            "n_units": list(range(rows)),
            "differs": [row == 0 for row in range(rows)],
        }
    )


def test_a_short_table_is_a_float_of_booktabs():
    assert latex.latex(table_of(2).drop(["differs"]), "d_anchor", "50 % of it").splitlines() == [
        r"% Needs \usepackage{booktabs}. Put it into a text by \input.",
        r"\begin{table}",
        r"\centering\scriptsize\setlength{\tabcolsep}{2pt}",  # the first name is long
        r"\caption{50 \% of it}\label{tab:d-anchor}",
        r"\begin{tabular}{lrrr}",
        r"\toprule",
        r"run & epoch & \begin{tabular}[b]{@{}r@{}}d\_anchor\\{[}low, high]\end{tabular} & n\_units \\",
        r"\midrule",
        latex.escape(HOSTILE[0]) + r" & 0 & 0.000 {[}$-$0.100, 1.0e$-$05] & 0 \\",
        latex.escape(HOSTILE[1]) + r" & 0.5 &  & 1 \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def test_long_headings_are_broken_after_underscores():
    head = latex.latex(pa.table({"n_interpretable": [1], "n_units": [2], "item": ["x"]}), "x", "")
    assert r"\begin{tabular}[b]{@{}r@{}}n\_\\interpretable\end{tabular} & n\_units & item \\" in head


def test_a_long_table_breaks_over_pages():
    short, long = (
        latex.latex(table_of(rows), "x", "") for rows in (latex.LONGEST_FLOAT, latex.LONGEST_FLOAT + 1)
    )
    assert "longtable" not in short
    assert r"\usepackage{longtable}" in long
    assert long.count(r"\midrule") == 2  # the heading again on every page
    assert long.count(" & yes \\\\") == 1


@pytest.mark.parametrize("engine", ["pdflatex", "tectonic"])
def test_it_compiles(engine: str, tmp_path: Path):
    if not shutil.which(engine):
        pytest.skip(f"{engine} is not installed")
    for name, rows in (("none", 0), ("short", 13), ("long", 60)):
        caption = "all of " + " ".join(HOSTILE)
        (tmp_path / f"{name}.tex").write_text(latex.latex(table_of(rows), name, caption), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\n\\usepackage{booktabs,longtable}\n\\begin{document}\n"
        "\\input{none}\\input{short}\\input{long}\n\\end{document}\n"
    )
    command = [engine, "-halt-on-error", "-interaction=nonstopmode"] if engine == "pdflatex" else [engine]
    done = subprocess.run(
        [*command, "paper.tex"], cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "paper.pdf").is_file()
