"""The paper's five claims, each tested over seeds: confirmed, not confirmed, or unclear here.

    python -m scripts.cases.claims OUT

OUT holds runs/RECIPE@SEED/training.csv and STUDY/workspace, reported; claims of a study that is not there are left out.
Writes OUT/claims.csv, a row for each contrast, and OUT/claims.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import get_args

import click
import pandas as pd
import pyarrow as pa

from cmon.reporting.tables import formats
from cmon.workspace.files import atomic_write
from cmon.workspace.keys import epoch_text
from scripts.cases import paper_figures
from scripts.cases.contrasts import Finding, Role, find
from scripts.cases.intervals import Verdict
from scripts.cases.paper_claims import PAPER_CLAIMS, POOR, PaperClaim
from scripts.cases.results import Results, top_concepts
from scripts.cases.studies import workspace_folder

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
MOST_CONCEPTS = 8
_METHOD = """\
The unit of analysis is the run: every number is one value of each run, and n counts runs. Differences have 95 %
intervals: Student's of the pairs where both sides are of the same runs, or of runs with one seed that start from the
same weights; else Welch's. **confirmed**: the interval lies on the claimed side of 0; **not confirmed**: it lies on the
other side; **unclear here**: it holds 0, or there are too few runs for one. Each interval stands alone: nothing is
corrected for their number, so of twenty contrasts in which nothing is, one would still exclude 0. With few seeds an
interval is wide: *unclear here* does not say that there is no difference.
"""


def read_studies(out: Path) -> dict[str, Results]:
    """The results of each study that is there. Raises UsageError if none is."""
    names = dict.fromkeys(claim.study for claim in PAPER_CLAIMS)
    found = {name: Results.read(out, name) for name in names if workspace_folder(out, name).is_dir()}
    if not found:
        raise click.UsageError(
            f"{out}: holds none of the studies; expected {', '.join(f'{name}/workspace' for name in names)}"
        )
    return found


def find_all(studies: Mapping[str, Results]) -> dict[int, list[Finding]]:
    """The findings of each claim whose study is there, by the claim's number."""
    return {
        claim.number: [find(results, contrast) for contrast in claim.contrasts(results)]
        for claim in PAPER_CLAIMS
        if (results := studies.get(claim.study)) is not None
    }


def rows(studies: Mapping[str, Results], found: Mapping[int, Sequence[Finding]]) -> pd.DataFrame:
    """All findings in full, one in a row."""
    by_number = {claim.number: claim for claim in PAPER_CLAIMS}
    made = []
    for number, findings in found.items():
        claim = by_number[number]
        for one in findings:
            contrast, numbers = one.contrast, one.difference
            made.append(
                {
                    "claim": number,
                    "says": contrast.says,
                    "measure": contrast.measure.name,
                    "of": one.where,
                    "compared": one.compared,
                    "value": numbers.value,
                    "reference": numbers.reference,
                    "difference": numbers.difference,
                    "low": numbers.low,
                    "high": numbers.high,
                    "n": numbers.count,
                    "interval": numbers.method,
                    "verdict": one.verdict or "",
                    "role": contrast.role,
                    "missing": one.missing,
                    "table": table_file(claim.study, contrast.measure.table),
                    "figure": " ".join(figure_files(claim, studies[claim.study])),
                    "command": " ; ".join(commands(claim)),
                }
            )
    return pd.DataFrame(made)


def table_file(study: str, table: str) -> str:
    """Where a measure is read from, in OUT."""
    if table == "against-untrained":
        return f"{study}/{table}/units"
    return f"{study}/workspace/units" if table == "units" else f"{study}/workspace/report/{table}.csv"


def figure_files(claim: PaperClaim, results: Results) -> list[str]:
    """Where the claim's figures are, in OUT."""
    kinds = [kind for kind in POOR if kind in results.recipes]
    drawn = [f"figures/{name}.png" for number in claim.figures for name in paper_figures.names(number, kinds)]
    return drawn or [f"{claim.study}/workspace/report/interpretable.png"]


def commands(claim: PaperClaim) -> list[str]:
    """What makes the claim's rows and figures."""
    drawn = [f"python -m scripts.cases.paper_figures OUT --figure {number}" for number in claim.figures]
    return ["python -m scripts.cases.claims OUT", *(drawn or [f"cmon report OUT/{claim.study}/workspace"])]


def page(studies: Mapping[str, Results], found: Mapping[int, Sequence[Finding]]) -> str:
    """claims.md."""
    parts = ["# The paper's claims, tested over seeds\n", _METHOD, summary(found)]
    for claim in PAPER_CLAIMS:
        parts.append(f"## {claim.number}. {claim.title}\n")
        if claim.number not in found:
            parts.append(f"Not tested: the study `{claim.study}` is not there.\n")
            continue
        results, findings = studies[claim.study], found[claim.number]
        parts.append(_about(claim, results))
        by_role = {role: [one for one in findings if one.contrast.role == role] for role in get_args(Role)}
        parts.append(findings_table(by_role["claim"]))
        if by_role["other layer"]:
            parts += ["The same in the other layers; `claims.csv` has the numbers:\n"]
            parts += [layers_table(by_role["other layer"])]
        if by_role["beside"]:
            parts += ["Beside it, controls and numbers of which nothing is claimed:\n"]
            parts += [findings_table(by_role["beside"])]
        if claim.study == "adversarial":
            parts += [concepts_text(results), concepts_table(results)]
        missing = dict.fromkeys(reason for one in findings for reason in one.missing.split("; ") if reason)
        if missing:
            parts += ["Left out, since there is no value:\n", *[f"- {reason}" for reason in missing], ""]
    return "\n".join(parts)


def _about(claim: PaperClaim, results: Results) -> str:
    """What is compared, what the paper has, and where to look further."""
    seeds = sorted({seed for recipe in results.recipes for seed in results.seeds(recipe)})
    lines = [
        f"Study `{claim.study}`: {', '.join(results.recipes)}; seeds {', '.join(map(str, seeds))}; epochs "
        f"{epoch_text(results.first)} to {epoch_text(results.last)}; layers {', '.join(results.layers)}.",
        f"The paper: {claim.paper}." if claim.paper else "",
        f"Figure: {', '.join(f'`{name}`' for name in figure_files(claim, results))}. Tables: "
        f"`{claim.study}/workspace/report`. Commands: {', '.join(f'`{line}`' for line in commands(claim))}.",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def summary(found: Mapping[int, Sequence[Finding]]) -> str:
    """How many of each claim's contrasts have which verdict."""
    made = []
    for claim in PAPER_CLAIMS:
        own = [one for one in found.get(claim.number, ()) if one.contrast.role == "claim"]
        made.append({"claim": f"{claim.number}. {claim.title}", **_counted(own)})
    return markdown(made)


def layers_table(findings: Sequence[Finding]) -> str:
    """How many of the contrasts of each layer have which verdict."""
    layers = dict.fromkeys(one.contrast.value.layer for one in findings)
    return markdown(
        [
            {"layer": layer, **_counted([one for one in findings if one.contrast.value.layer == layer])}
            for layer in layers
        ]
    )


def _counted(findings: Sequence[Finding]) -> dict[str, str]:
    verdicts = [one.verdict for one in findings]
    return {"contrasts": str(len(verdicts)), **{name: str(verdicts.count(name)) for name in VERDICTS}}


def findings_table(findings: Iterable[Finding]) -> str:
    """What people read of each finding."""
    made = []
    for one in findings:
        numbers = one.difference
        made.append(
            {
                "what": one.contrast.says,
                "of": one.where,
                "compared": one.compared,
                "values": f"{number(numbers.value)} − {number(numbers.reference)}",
                "difference (95 % interval)": interval(one),
                "n": numbers.count,
                "verdict": (one.verdict or "") + _caveat(one),
            }
        )
    return markdown(made)


def _caveat(one: Finding) -> str:
    """Why the interval is of fewer runs than there are, or there is none."""
    if one.missing:
        return " (runs left out)"
    return " (too few runs)" if one.verdict and math.isnan(one.difference.low) else ""


def concepts_text(results: Results) -> str:
    when = f"{results.main}, epoch {epoch_text(results.last)}"
    return f"The most frequent concepts of {when}: units, mean over seeds (least to most).\n"


def concepts_table(results: Results) -> str:
    """A column for each recipe: 'dog 15.0 (12 to 17)'."""
    tops = {
        recipe: [
            f"{row['concept']} {row['mean']:.1f} ({row['low']:.0f} to {row['high']:.0f})"
            for row in top_concepts(results, recipe, MOST_CONCEPTS).to_dict("records")
        ]
        for recipe in results.recipes
    }
    longest = max(map(len, tops.values()))
    filled = {recipe: [*own, *[""] * (longest - len(own))] for recipe, own in tops.items()}
    return markdown([dict(zip(filled, cells, strict=True)) for cells in zip(*filled.values(), strict=True)])


def number(value: float) -> str:
    """Three decimals, or a dash where there is none."""
    return "–" if math.isnan(value) else formats.short_number(value)


def interval(one: Finding) -> str:
    """'-0.096 (-0.110 to -0.082)'."""
    numbers = one.difference
    if math.isnan(numbers.difference):
        return "–"
    if math.isnan(numbers.low):
        return f"{numbers.difference:+.3f} (no interval)"
    return f"{numbers.difference:+.3f} ({numbers.low:+.3f} to {numbers.high:+.3f})"


def markdown(made: Sequence[Mapping[str, str]]) -> str:
    return formats.markdown(pa.Table.from_pylist([dict(row) for row in made]))


def write(path: Path, text: str) -> None:
    with atomic_write(path) as aside:
        aside.write_text(text, encoding="utf-8")
    click.echo(path)


@click.command()
@click.argument("out", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(out: Path) -> None:
    """Test the paper's claims on the runs of OUT."""
    studies = read_studies(out)
    found = find_all(studies)
    write(out / "claims.csv", rows(studies, found).to_csv(index=False))
    write(out / "claims.md", page(studies, found))


if __name__ == "__main__":
    main()
