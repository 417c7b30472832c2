"""Archives of torch.save: the same objects that torch.load gives, within the file's own length and by its CRCs."""

from __future__ import annotations

import io
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cmon.checkpoints import bytes_read, checkpoint
from cmon.checkpoints.formats.plain_data import plain_data_classes
from cmon.checkpoints.formats.torch_archive import read_archive
from cmon.checkpoints.formats.torch_old import read_before_archives
from cmon.errors import CmonError
from tests.support.checkpoints import save_hugging_face, step_optimizer, train_network


def tied() -> dict[str, torch.Tensor]:
    own = torch.randn(40, 30)
    return {"a": own, "b": own, "turned": own.T, "part": own[3:5, ::2], "last": own[-1, -1]}


def whole_training() -> dict[str, Any]:
    network = train_network(3)
    return {
        "model": network.state_dict(),
        "optimizer": step_optimizer(network).state_dict(),
        "epoch": torch.tensor(7),
        "rng": torch.get_rng_state(),
        "notes": {"lr": np.float64(0.1), "names": ["é", "日本"], "more": (None, True, 2**70, -1.5)},
    }


CONTENTS: dict[str, Callable[[], Any]] = {
    "a whole training": whole_training,
    "tensors that share a storage": tied,
    "every dtype": lambda: {
        str(dtype): torch.ones(600, dtype=torch.float32).to(dtype)
        for dtype in (torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.uint8, torch.int64, torch.bool,
                      torch.complex64, torch.float8_e4m3fn)
    },
    "tensors of no size": lambda: {"a": torch.empty(0), "b": torch.empty(3, 0, 2), "c": torch.tensor(1.5)},
    "parameters": lambda: OrderedDict(w=nn.Parameter(torch.randn(400)), b=nn.Buffer(torch.randn(2))),
    "channels last": lambda: {"w": torch.randn(8, 16, 5, 5).to(memory_format=torch.channels_last)},
}  # fmt: skip


def same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert (one.dtype, one.shape, one.stride(), one.storage_offset()) == (
            other.dtype, other.shape, other.stride(), other.storage_offset()
        )  # fmt: skip
        assert one.untyped_storage().nbytes() == other.untyped_storage().nbytes()
        assert bytes(one.untyped_storage()) == bytes(other.untyped_storage())
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            same(*pair)
    else:
        assert one == other


def read(path: Path, values: bool = True, check: bool = True) -> Any:
    with path.open("rb") as file, torch.serialization.safe_globals(plain_data_classes()):
        return read_archive(file, values, check)


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("values", [True, False])
def test_it_gives_what_torch_load_gives(tmp_path: Path, name: str, values: bool) -> None:
    torch.save(CONTENTS[name](), tmp_path / "a.pt")
    with torch.serialization.safe_globals(plain_data_classes()):
        expected = torch.load(tmp_path / "a.pt", weights_only=True)
    same(read(tmp_path / "a.pt", values), expected)


@pytest.mark.parametrize(
    "name", [name for name in CONTENTS if name != "every dtype"]
)  # torch.load fails on float8
def test_files_of_before_archives_give_the_same(tmp_path: Path, name: str) -> None:
    torch.save(CONTENTS[name](), tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    with torch.serialization.safe_globals(plain_data_classes()):
        expected = torch.load(tmp_path / "a.pt", weights_only=True)
        with (tmp_path / "a.pt").open("rb") as file:
            same(read_before_archives(file), expected)


def test_tensors_that_share_a_storage_still_do(tmp_path: Path) -> None:
    torch.save(tied(), tmp_path / "a.pt")
    found = read(tmp_path / "a.pt")
    assert found["a"].data_ptr() == found["b"].data_ptr() == found["turned"].data_ptr()


def test_the_other_byte_order_is_turned_round(tmp_path: Path) -> None:
    values = torch.arange(500, dtype=torch.float32)
    torch.save({"w": values, "epoch": torch.tensor(3)}, tmp_path / "a.pt")
    buffer = io.BytesIO()
    with zipfile.ZipFile(tmp_path / "a.pt") as given, zipfile.ZipFile(buffer, "w") as turned:
        for info in given.infolist():
            data = given.read(info)
            if info.filename.endswith("byteorder"):
                data = b"big"
            elif "/data/" in info.filename:
                data = np.frombuffer(data, "<f4" if len(data) > 8 else "<i8").byteswap().tobytes()
            turned.writestr(info.filename, data)
    (tmp_path / "b.pt").write_bytes(buffer.getvalue())
    found = read(tmp_path / "b.pt")
    assert (torch.equal(found["w"], values), found["epoch"].item()) == (True, 3)
    assert read(tmp_path / "b.pt", values=False)["epoch"].item() == 3


# -- CRCs ----------------------------------------------------------------------------------------------


def flip(path: Path, member: str) -> None:
    with zipfile.ZipFile(path) as archive:
        content = archive.read(next(name for name in archive.namelist() if name.endswith(member)))
    whole = bytearray(path.read_bytes())
    at = whole.find(content) + len(content) // 2
    whole[at] ^= 1
    path.write_bytes(whole)


def test_one_bit_is_found_while_the_file_is_hashed_and_torch_load_does_not_see_it(tmp_path: Path) -> None:
    torch.save(train_network(1).state_dict(), tmp_path / "epoch_1.pt")
    flip(tmp_path / "epoch_1.pt", "data/0")
    torch.load(tmp_path / "epoch_1.pt", weights_only=True)
    found = checkpoint.inspect(tmp_path / "epoch_1.pt", tmp_path)
    assert found.sha256 is not None
    assert found.error is not None
    assert found.error.startswith(
        "damaged; expected the bytes that torch.save wrote, by their CRC-32; found others"
    )


def test_a_bit_in_any_file_of_a_folder_is_found(tmp_path: Path) -> None:
    save_hugging_face(tmp_path / "checkpoint-5", train_network(1), 1, 5, "sharded bin")
    assert checkpoint.inspect(tmp_path / "checkpoint-5", tmp_path).error is None
    flip(tmp_path / "checkpoint-5" / "pytorch_model-00002-of-00002.bin", "data/0")
    error = checkpoint.inspect(tmp_path / "checkpoint-5", tmp_path).error
    assert error is not None
    assert "pytorch_model-00002-of-00002.bin: damaged" in error


def test_every_member_is_checked_wherever_blocks_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytes_read, "_BLOCK", 100)
    path = tmp_path / "a.pt"
    torch.save(whole_training(), path)
    whole = path.read_bytes()
    assert bytes_read.read_bytes(path, [path]).damage is None
    with zipfile.ZipFile(path) as archive:
        names = [info.filename for info in archive.infolist() if info.file_size > 40]
    assert len(names) > 10
    for name in names:
        flip(path, name)
        damage = bytes_read.read_bytes(path, [path]).damage
        assert damage is not None
        assert repr(name) in str(damage)
        path.write_bytes(whole)


def test_a_file_without_crcs_is_as_good_as_any(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"model": train_network(1).state_dict(), "epoch": 1}, tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        assert {info.CRC for info in archive.infolist()} == {0}
    found = checkpoint.inspect(tmp_path / "a.pt", tmp_path)
    assert (found.error, found.epoch) == (None, 1)
    same(dict(read(tmp_path / "a.pt")["model"]), dict(train_network(1).state_dict()))


def test_the_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    import hashlib

    torch.save(whole_training(), tmp_path / "a.pt")
    found = bytes_read.read_bytes(tmp_path / "a.pt", [tmp_path / "a.pt"])
    assert found.sha256 == hashlib.sha256((tmp_path / "a.pt").read_bytes()).hexdigest()


def test_a_pruned_networks_masks_are_still_applied() -> None:
    from cmon.checkpoints.state_dict import match

    network = nn.Linear(3, 2)
    mask = torch.tensor([[1.0, 0, 1], [0, 1, 1]])
    whole = torch.randn(2, 3)
    found = match(
        {"weight_orig": whole, "weight_mask": mask, "bias": torch.zeros(2)}, network.state_dict(), "it"
    )
    assert torch.equal(found.tensors["weight"], whole * mask)


def test_a_buffer_that_repeats_its_values_a_little_is_read(tmp_path: Path) -> None:
    content = train_network(1).state_dict() | {"mask": torch.ones(4).expand(3, 4)}
    torch.save(content, tmp_path / "epoch_1.pt")
    assert checkpoint.inspect(tmp_path / "epoch_1.pt", tmp_path).error is None


def test_a_weight_that_repeats_its_values_beyond_the_file_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(1).expand(10**6)}, tmp_path / "epoch_1.pt")
    with pytest.raises(CmonError, match="4,000,000 bytes up to w, in a checkpoint of"):
        checkpoint.read(tmp_path / "epoch_1.pt")
