"""Whether tables were made from each other: what an interrupted or forgotten command left is never taken for fresh."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from cmon.errors import CmonError
from cmon.workspace.keys import GROUP, epoch_text
from cmon.workspace.tables import KINDS
from cmon.workspace.workspace import Workspace

logger = logging.getLogger(__name__)


def check(workspace: Workspace, *names: str) -> None:
    """Raises CmonError unless the tables were made from the tables that are there now, down to the probe images.

    Warns where there are activations that were not scored yet.
    """
    for name in names:
        for of, origin in workspace.inputs(name).items():
            check(workspace, of)
            if workspace.origin(of) != origin:
                raise CmonError(
                    f"{workspace.table(name)}: was made from other {of} than those that are there now",
                    expected=f"a table {workspace.table(name).stem!r} that `cmon {KINDS[name].command}` made since",
                    found="an earlier one",
                    hint=f"run `cmon {KINDS[name].command} {workspace.root}` again, with the options of then",
                )
        if workspace.table(name).stem == "scores":
            _check_scores(workspace)


def _check_scores(workspace: Workspace) -> None:
    """What was scored must still be there, and as it was; what was not scored yet is said."""
    if not workspace.table("shards").is_file():  # scored elsewhere, perhaps
        return
    check(workspace, "shards")
    there = {_group(row): row["origin"] for row in workspace.read("shards").to_pylist()}
    scored = {_group(row): row["activations"] for row in workspace.read("scores").to_pylist()}
    changed = [group for group, origin in scored.items() if there.get(group) != origin]
    if changed:
        run, layer, epoch = changed[0]
        gone = changed[0] not in there
        raise CmonError(
            f"{workspace.table('scores')}: is of other activations than those that are there now",
            expected="the activations of then",
            found=f"those of run {run}, layer {layer}, epoch {epoch_text(epoch)} "
            + ("are no longer there" if gone else "are others")
            + (f", and {len(changed) - 1} more" if len(changed) > 1 else ""),
            hint=f"run `cmon score {workspace.root}` again, with the options of then",
        )
    more = [group for group in there if group not in scored]
    if more:
        run, layer, epoch = more[0]
        logger.warning(
            "extracted, but not scored yet: %s; run `cmon score %s` first to have %s",
            f"run {run}, layer {layer}, epoch {epoch_text(epoch)}"
            + (f" and {len(more) - 1} more" if len(more) > 1 else ""),
            workspace.root,
            "it" if len(more) == 1 else "them",
        )


def _group(row: Mapping[str, Any]) -> tuple[str, str, float]:
    run, layer, epoch = (row[name] for name in GROUP)
    return run, layer, epoch
