"""Whether tables were made from each other: a stage that was not run again must not be taken for fresh."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from cmon.errors import CmonError
from cmon.workspace.files import digest
from cmon.workspace.workspace import Workspace

logger = logging.getLogger(__name__)

_SCORES = ("vocabulary", "concepts", "units")


def of_activations(shards: Iterable[Mapping[str, Any]]) -> str:
    """Equal for equal activations. shards: rows of the table."""
    return digest([(shard["run"], shard["layer"], shard["epoch"], shard["origin"]) for shard in shards])


def check_scores(workspace: Workspace) -> None:
    """Raises CmonError unless the tables of `score` are all of the same scoring; warns if it is out of date."""
    written = [name for name in _SCORES if workspace.table(name).is_file()]
    if len({workspace.origin(name) for name in written}) > 1:
        raise CmonError(
            f"{workspace.root}: the tables {', '.join(_SCORES)} do not belong together",
            expected="all of them of the same scoring",
            found="some of another one, which was stopped",
            hint=f"run `cmon score {workspace.root}` again",
        )
    before = workspace.parameters("units").get("activations")
    if before is None or not workspace.table("shards").is_file():  # scored elsewhere, perhaps
        return
    if before != of_activations(workspace.read("shards").to_pylist()):
        logger.warning(
            "the scores are not of the activations as they are now: what was extracted since is not in them; run "
            "`cmon score %s` first to have it",
            workspace.root,
        )


def check_layout(workspace: Workspace) -> None:
    """Raises CmonError if the units were scored again since they were placed."""
    before = workspace.parameters("layout").get("units")
    if before is not None and before != workspace.origin("units"):
        raise CmonError(
            f"{workspace.table('layout')}: was made from other scores",
            expected="a layout of the units as they are scored now",
            found="one of an earlier scoring",
            hint=f"run `cmon embed {workspace.root}` again, with the options of then",
        )
