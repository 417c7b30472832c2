"""Every row of docs/reference/checkpoints-read.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmon.errors import CmonError
from tests.support.checkpoint_cases import READ, Read, average_of
from tests.support.checkpoints import check_folder, train_networks
from tests.support.refused_cases import REFUSED, Refused


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled:UserWarning")
@pytest.mark.parametrize("row", READ, ids=lambda row: row.program)
def test_what_is_read(tmp_path: Path, row: Read) -> None:
    networks = train_networks()
    for epoch, network in networks.items():
        row.write(tmp_path, int(epoch), network)
    check_folder(tmp_path, {row.by(int(epoch)): network for epoch, network in networks.items()})
    if row.averages:
        averages = {row.by(int(epoch)): average_of(network) for epoch, network in networks.items()}
        check_folder(tmp_path, averages, "ema")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.what)
def test_what_is_refused(tmp_path: Path, row: Refused) -> None:
    row.write(tmp_path)
    with pytest.raises(CmonError) as caught:
        check_folder(tmp_path, {})
    assert row.says in caught.value.line
