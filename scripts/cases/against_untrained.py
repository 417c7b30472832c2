"""How many neurons stand out of the network before its training: a second scoring of a study, `--baseline first`.

Against chance nearly all neurons are interpretable before the first step, so a share against chance cannot grow. The
second scoring stands in a workspace of its own, OUT/STUDY/against-untrained, on the activations of the study's.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pandas as pd

from cmon.workspace.keys import GROUP
from cmon.workspace.workspace import Workspace

FOLDERS = ("activations", "cache")
TABLES = ("checkpoints.parquet", "images.parquet", "shards.parquet")
STANDS_OUT = "n_against_untrained"
"""Units that are interpretable against their layer's first epoch."""


def link_extraction(workspace: Path, second: Path) -> None:
    """Give a workspace the activations and encoded pictures of another one, by hard links, and drop what it had.

    What cmon writes replaces a file and never changes one, so neither workspace sees what the other one does.
    """
    second.mkdir(parents=True, exist_ok=True)
    for name in FOLDERS:
        shutil.rmtree(second / name, ignore_errors=True)
        shutil.copytree(workspace / name, second / name, copy_function=os.link)
    for name in TABLES:
        (second / name).unlink(missing_ok=True)
        os.link(workspace / name, second / name)


def read_counts(second: Path) -> pd.DataFrame:
    """run, layer, epoch and STANDS_OUT; no rows where the second scoring is not there.

    Raises CmonError when a table is damaged.
    """
    if not second.is_dir():
        return pd.DataFrame(columns=[*GROUP, STANDS_OUT]).astype({"epoch": float, STANDS_OUT: float})
    units = Workspace(second).read("units", [*GROUP, "interpretable"]).to_pandas()
    return units.groupby(GROUP)["interpretable"].sum().rename(STANDS_OUT).reset_index()
