"""Hostile files, made in code: each function gives one that writes into a folder."""

from __future__ import annotations

import importlib
import io
import json
import os
import pickle
import socket
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save as to_safetensors

from tests.support.checkpoint_cases import state
from tests.support.checkpoints import train_network

Write = Callable[[Path], None]
CANARY = "canary"
"""The file that hostile code would leave in the folder above."""


# -- any file ------------------------------------------------------------------------------------------


def raw(content: bytes, name: str) -> Write:
    return lambda folder: _put(folder / name, content)


def raw_later(content: Callable[[], bytes], name: str) -> Write:
    return lambda folder: _put(folder / name, content())


def hollow(name: str, size: int) -> Write:
    """A file of zeros that takes no room on the disk."""

    def write(folder: Path) -> None:
        (folder / name).touch()
        os.truncate(folder / name, size)

    return write


def pipe(name: str) -> Write:
    return lambda folder: os.mkfifo(folder / name)


def unix_socket(name: str) -> Write:
    def write(folder: Path) -> None:
        here = Path.cwd()
        os.chdir(folder)  # the name of a socket has a hundred bytes at most
        try:
            with socket.socket(socket.AF_UNIX) as one:
                one.bind(name)
        finally:
            os.chdir(here)

    return write


def link(name: str, target: str) -> Write:
    return lambda folder: (folder / name).symlink_to(target)


def link_to_pipe(name: str) -> Write:
    def write(folder: Path) -> None:
        os.mkfifo(folder.parent / "pipe")
        (folder / name).symlink_to("../pipe")

    return write


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


# -- checkpoints of torch.save -------------------------------------------------------------------------


def weights() -> dict[str, Any]:
    return {name: value.clone() for name, value in state(train_network(1)).items()}


def content_bytes(content: Any, old: bool = False) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(content, buffer, _use_new_zipfile_serialization=not old)
    return buffer.getvalue()


def saved(make: Callable[[], Any], name: str = "epoch_1.pt", old: bool = False) -> Write:
    """What torch.save writes of what `make` gives."""
    return lambda folder: _put(folder / name, content_bytes(make(), old))


def with_weight(change: Callable[[torch.Tensor], Any], weight: str = "conv1.weight") -> Write:
    return saved(lambda: (own := weights()) | {weight: change(own[weight])})


def beside(**more: Any) -> Write:
    """The weights, and other entries."""
    return saved(lambda: {"model": weights(), **{name: make() for name, make in more.items()}})


def changed(change: Callable[[bytes], bytes], name: str = "epoch_1.pt", old: bool = False) -> Write:
    """A good checkpoint with other bytes."""
    return lambda folder: _put(folder / name, change(content_bytes(weights(), old)))


def cut(length: int) -> Write:
    return changed(lambda content: content[:length])


def flipped(member: str) -> Write:
    """With one bit of a member the other way round."""

    def change(content: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            info = next(info for info in archive.infolist() if info.filename.endswith(member))
        at = info.header_offset + 30 + sum(struct.unpack("<HH", content[info.header_offset + 26 :][:4]))
        at += info.file_size // 2
        return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]

    return changed(change)


def members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def archive_bytes(content: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def twice() -> bytes:
    """An archive with one name twice."""
    own = members(content_bytes(weights()))
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")
        for name, data in [*own.items(), *own.items()]:
            archive.writestr(name, data)
    return buffer.getvalue()


def archive(
    change: Callable[[dict[str, bytes]], Mapping[str, bytes]] = lambda own: own,
    compression: int = zipfile.ZIP_STORED,
    name: str = "epoch_1.pt",
) -> Write:
    """A good checkpoint's archive with other members, or compressed."""
    return lambda folder: _put(
        folder / name, archive_bytes(change(members(content_bytes(weights()))), compression)
    )


def with_storage(content: bytes) -> Write:
    """With other values behind the first weight."""
    return archive(lambda own: own | {next(name for name in own if name.endswith("data/0")): content})


def pickled(body: bytes, name: str = "epoch_1.pt") -> Write:
    """An archive whose pickle has these instructions."""
    pickle_bytes = b"\x80\x02" + body + b"."
    return raw(
        archive_bytes({"a/data.pkl": pickle_bytes, "a/byteorder": b"little", "a/version": b"3\n"}), name
    )


def patched_end(change: Callable[[bytearray], None]) -> Write:
    """With another end of the archive: its last 98 bytes are zip64's end, its locator, and the end."""

    def patch(content: bytes) -> bytes:
        own = bytearray(content)
        change(own)
        return bytes(own)

    return changed(patch)


def set_at(position: int, form: str, value: int) -> Callable[[bytearray], None]:
    def change(content: bytearray) -> None:
        struct.pack_into(form, content, len(content) + position, value)

    return change


class Calls:
    """Pickled as a call of a function."""

    def __init__(self, name: str, *arguments: Any) -> None:
        self.name, self.arguments = name, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        module, _, name = self.name.rpartition(".")
        return getattr(importlib.import_module(module), name), self.arguments


def touching(folder: Path) -> Calls:
    """Code that leaves the canary."""
    return Calls("os.system", f"touch '{folder.parent / CANARY}'")


def code(name: str = "epoch_1.pt", old: bool = False) -> Write:
    return lambda folder: _put(
        folder / name, content_bytes({"model": weights(), "extra": touching(folder)}, old)
    )


def pickled_alone(name: str) -> Write:
    """A pickle that torch.save did not write."""
    return lambda folder: _put(folder / name, pickle.dumps({"model": touching(folder)}))


def shared_windows() -> dict[str, Any]:
    """Tensors that lie over each other in one storage."""
    own = torch.zeros(5_000)
    return weights() | {f"extra{i}.weight": own[i : i + 4_000] for i in range(100)}


def doubled_tuples(depth: int = 60) -> bytes:
    """A tuple that holds another twice, and so on, as a key."""
    inner = b")" + b"q\x00"
    for _ in range(depth):
        inner += b"h\x00h\x00\x86q\x00"
    return b"}" + inner + b"K\x01s"


def copies(times: int = 20_000) -> bytes:
    """One text of a megabyte, encoded over and over."""
    text = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20) + b"q\x00"
    latin = b"X\x06\x00\x00\x00latin1q\x01"
    call = b"c_codecs\nencode\nh\x00h\x01\x86R"
    return b"]" + b"(" + text + latin + call * times + b"e"


def colliding_numbers(count: int = 50_000) -> bytes:
    """Keys that all have the same hash."""
    prime = (1 << 61) - 1
    items = b""
    for position in range(1, count + 1):
        number = pickle.encode_long(position * prime << 70)
        items += b"\x8a" + bytes([len(number)]) + number + b"N"
    return b"}(" + items + b"u"


def old_with_length(length: int) -> Write:
    """The old form, whose first tensor is said to have another length."""

    def change(content: bytes) -> bytes:
        wanted = struct.pack("<i", length)
        own = weights()["conv1.weight"].numel()
        before = b"M" + struct.pack("<H", own) if own > 255 else b"K" + bytes([own])
        return content.replace(b"cpu" + content.split(b"cpu", 1)[1].split(before, 1)[0] + before,
                               b"cpu" + content.split(b"cpu", 1)[1].split(before, 1)[0] + b"J" + wanted, 1)  # fmt: skip

    return changed(change, old=True)


# -- safetensors ---------------------------------------------------------------------------------------


def safetensors(
    header: Any, data: bytes = b"", length: int | None = None, name: str = "epoch_1.safetensors"
) -> Write:
    """A file with a header, given as JSON or bytes, and perhaps another length of it than it has."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return raw(struct.pack("<Q", len(text) if length is None else length) + text + data, name)


def entry(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def safe_weights(metadata: dict[str, str] | None = None) -> Write:
    return lambda folder: _put(folder / "epoch_1.safetensors", to_safetensors(weights(), metadata))


def nested(depth: int = 100_000) -> bytes:
    return b"[" * depth + b"]" * depth


# -- folders of several files --------------------------------------------------------------------------


def hugging_face(notes: bytes) -> Write:
    """A folder of the Trainer with these notes."""

    def write(folder: Path) -> None:
        _put(folder / "checkpoint-5" / "model.safetensors", to_safetensors(weights()))
        _put(folder / "checkpoint-5" / "trainer_state.json", notes)

    return write


def indexed(index: bytes, form: str = "model.safetensors") -> Write:
    """A folder of shards with this index."""
    return raw(index, f"checkpoint-5/{form}.index.json")


def distributed(change: Callable[[Any], Any] = lambda metadata: metadata) -> Write:
    """A folder of torch.distributed.checkpoint whose metadata were changed."""

    def write(folder: Path) -> None:
        import torch.distributed.checkpoint as dcp

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dcp.save({"model": weights(), "epoch": 1}, checkpoint_id=folder / "epoch_1", no_dist=True)
        note = folder / "epoch_1" / ".metadata"
        metadata = pickle.loads(note.read_bytes())
        metadata.storage_meta = None
        found = change(metadata)
        if callable(found):
            found(folder / "epoch_1")
        else:
            note.write_bytes(found if isinstance(found, bytes) else pickle.dumps(found))

    return write


def place(**values: Any) -> Callable[[Any], Any]:
    """Another place of the first weight."""

    def change(metadata: Any) -> Any:
        index = next(index for index in metadata.storage_data if index.fqn == "model.conv1.weight")
        for name, value in values.items():
            setattr(metadata.storage_data[index], name, value)
        return metadata

    return change


def sized(size: tuple[int, ...], chunks: bool = True) -> Callable[[Any], Any]:
    """Another size of the first weight."""

    def change(metadata: Any) -> Any:
        own = metadata.state_dict_metadata["model.conv1.weight"]
        own.size = torch.Size(size)
        if chunks:
            own.chunks[0].sizes = torch.Size(size)
        return metadata

    return change


def same_place(metadata: Any) -> Any:
    """All weights at the place of the largest."""
    places = metadata.storage_data
    largest = max(places.values(), key=lambda one: one.length)
    for index in places:
        places[index] = largest
    return metadata


def of_chunks(change: Callable[[list[Any]], list[Any]]) -> Callable[[Any], Any]:
    def apply(metadata: Any) -> Any:
        own = metadata.state_dict_metadata["model.conv1.weight"]
        own.chunks = change(own.chunks)
        return metadata

    return apply


def with_metadata(**values: Any) -> Callable[[Any], Any]:
    def change(metadata: Any) -> Any:
        for name, value in values.items():
            setattr(metadata, name, value)
        return metadata

    return change


def wrong_dtype(metadata: Any) -> Any:
    metadata.state_dict_metadata["model.conv1.weight"].properties.dtype = "float32"
    return metadata


def in_parts(change: Callable[[bytes], bytes]) -> Callable[[Any], Any]:
    """Other bytes in the file of the parts."""

    def apply(_: Any) -> Any:
        def write(folder: Path) -> None:
            (part,) = folder.glob("*.distcp")
            part.write_bytes(change(part.read_bytes()))

        return write

    return apply


def instead(name: str, write: Write) -> Callable[[Any], Any]:
    """Another thing in place of a file of the folder."""

    def apply(_: Any) -> Any:
        def put(folder: Path) -> None:
            for path in [*folder.glob(name)]:
                path.unlink()
            write(folder)

        return put

    return apply


def class_changed(metadata: Any) -> bytes:
    """Instructions that change a class, not an object."""
    head = b"\x80\x02ctorch.distributed.checkpoint.metadata\nMetadata\nq\x00"
    return head + b"N}X\x07\x00\x00\x00version" + b"X\x01\x00\x00\x00xs\x86b" + b"."


# -- pictures ------------------------------------------------------------------------------------------


def picture_bytes(form: str, width: int = 64, height: int = 64, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height)).save(buffer, form, **options)
    return buffer.getvalue()


def picture(form: str, name: str = "bad.png", **options: Any) -> Write:
    return lambda folder: _put(folder / name, picture_bytes(form, **options))


def halved(form: str, name: str = "bad.png") -> Write:
    def write(folder: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).save(buffer, form)
        _put(folder / name, buffer.getvalue()[: len(buffer.getvalue()) // 2])

    return write


def png(width: int, height: int, *chunks: tuple[bytes, bytes], data: bytes = b"") -> bytes:
    """A PNG of grey levels with any size in its header."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", data or zlib.compress(b"\0")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def tiff(*tags: tuple[int, int, int, int], following: int = 0, tail: bytes = b"") -> bytes:
    """A TIFF with these entries (tag, kind, count, value), and the place of the next directory."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + struct.pack("<I", following) + tail


def tiff_of(width: int, height: int, *more: tuple[int, int, int, int], following: int = 0) -> bytes:
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8),
            (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, 64), *more]  # fmt: skip
    return tiff(*tags, following=following, tail=bytes(64))


def many_scans(times: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    content = picture_bytes("JPEG", 4096, 4096, progressive=True)
    at = content.rfind(b"\xff\xda")
    return content[:at] + content[at:-2] * times + content[-2:]


def values(make: Callable[[], np.ndarray], form: str = "TIFF") -> Write:
    def write(folder: Path) -> None:
        buffer = io.BytesIO()
        Image.fromarray(make()).save(buffer, form)
        _put(folder / "bad.png", buffer.getvalue())

    return write


def webp_canvas(width: int, height: int) -> bytes:
    """The header of a WebP animation."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + size
    body += b"ANIM" + struct.pack("<I", 6) + bytes(6)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
