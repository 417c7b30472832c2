"""What is fuzzed: every parser of files, and every writer of what was read, each with the inputs to try on it.

A check gets one input and raises unless cmon reads it, or refuses it as it should: a checkpoint or picture with a
reason, a list or table by CmonError.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import pickle
import pickletools
import shutil
import struct
import tempfile
import time
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.figure
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from safetensors.torch import save as to_safetensors

from cmon import concepts
from cmon.checkpoints import checkpoint, state_dict
from cmon.checkpoints.counting import settle_epochs
from cmon.checkpoints.names import parse_names
from cmon.errors import CmonError
from cmon.evaluation import annotations, class_names
from cmon.images.files import find_images
from cmon.images.preprocessing import Decoder, ResizeCrop
from cmon.reporting import training_log
from cmon.reporting.figures import style
from cmon.reporting.tables import formats, latex
from cmon.workspace import schemas
from cmon.workspace.table_files import is_fresh, stamp
from cmon.workspace.workspace import Workspace
from tests.hostile.making import (
    archive_bytes,
    content_bytes,
    distributed,
    members,
    picture_bytes,
    weights,
)
from tests.support.checkpoints import train_network

_MOST_SECONDS = 20
"""Of the processor, for one input."""
Edit = tuple[str, int, int]


@dataclass(frozen=True)
class Target:
    """One thing that is fuzzed."""

    name: str
    inputs: SearchStrategy[Any]
    check: Callable[[Any], None]


@contextmanager
def folder() -> Iterator[Path]:
    """An empty folder, for one input, which must be read in time."""
    logger = logging.getLogger("cmon")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    place = Path(tempfile.mkdtemp(prefix="cmon-fuzz-"))
    start = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield place
    finally:
        logger.setLevel(level)
        shutil.rmtree(place)
    assert time.process_time() - start < _MOST_SECONDS


# -- inputs --------------------------------------------------------------------------------------------

EDITS = st.lists(
    st.tuples(
        st.sampled_from(("flip", "cut", "insert", "zero", "repeat", "high")),
        st.integers(0, 1 << 20),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=4,
)
"""Changes of bytes: what is done, where, and with what."""
TEXT = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from("\x1b\x00\x9b\u202e\u2028\ufeff\ufffe<>&\"'`|\\{}$=+-@,;\t\r\n*_[]~#%"),
    ),
    max_size=30,
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=8,
)
NUMBERS = st.one_of(
    st.integers(), st.integers(-3, 5), st.floats(), st.just(10**400), st.booleans(), st.none(), TEXT
)


def edited(content: bytes, edits: list[Edit]) -> bytes:
    for kind, where, what in edits:
        at = where % (len(content) + 1)
        if kind == "flip" and at < len(content):
            content = content[:at] + bytes([content[at] ^ (what or 1)]) + content[at + 1 :]
        elif kind == "cut":
            content = content[:at] + content[at + what :]
        elif kind == "insert":
            content = content[:at] + bytes([what]) * (1 + what % 9) + content[at:]
        elif kind == "zero":
            content = content[:at] + bytes(min(what, len(content) - at)) + content[at + what :]
        elif kind == "repeat":
            content = content[: at + what] + content[at:]
        elif kind == "high":
            content = content[:at] + struct.pack("<Q", 1 << (what % 64)) + content[at + 8 :]
    return content


# -- checkpoints ---------------------------------------------------------------------------------------


@cache
def good(form: str) -> bytes:
    content = {"model": weights(), "epoch": 1, "step": torch.tensor(3), "notes": ["a", 1.5, (2, None)]}
    if form == "safetensors":
        return to_safetensors(weights(), {"epoch": "1"})
    return content_bytes(content, old=form == "old")


@cache
def good_folder() -> dict[str, bytes]:
    with folder() as place:
        distributed()(place)
        return {file.name: file.read_bytes() for file in (place / "epoch_1").iterdir()}


@cache
def own_weights() -> dict[str, torch.Tensor]:
    return dict(train_network(0).state_dict())


def check_checkpoint(path: Path, run: Path) -> None:
    """It is a row with a reason, or its weights fit the network or not."""
    found = checkpoint.inspect(path, run)
    settle_epochs([found])
    assert found.error is None or "\n" not in found.error
    found.name.encode()
    (found.wrapper or "").encode()
    if found.error is None:
        assert found.epoch is not None
        assert 0 <= found.epoch <= 2**53
    try:
        tensors = checkpoint.read(path).tensors
        match = state_dict.match(tensors, own_weights(), "the network")
        state_dict.check_match(match, "the network")
        assert match.normaliser is None or match.normaliser
    except CmonError:
        return
    assert sum(one.numel() for one in match.tensors.values()) == sum(
        one.numel() for one in own_weights().values()
    )


def check_file(content: bytes, name: str = "epoch_1.pt") -> None:
    with folder() as run:
        (run / name).write_bytes(content)
        check_checkpoint(run / name, run)


def check_member(given: tuple[str, list[Edit]]) -> None:
    """Another member of an archive, whose CRC is right."""
    name, edits = given
    own = members(good("zip"))
    full = next(full for full in own if full.endswith(name))
    check_file(archive_bytes(own | {full: edited(own[full], edits)}))


def check_instructions(given: list[int]) -> None:
    """A pickle of instructions in any order."""
    check_file(archive_bytes({"a/data.pkl": b"\x80\x02" + b"".join(map(_parts().__getitem__, given)) + b"."}))


@cache
def _parts() -> list[bytes]:
    """The instructions of a real pickle, each with its argument."""
    body = next(data for name, data in members(good("zip")).items() if name.endswith("data.pkl"))
    starts = [position for *_, position in pickletools.genops(body)]
    return sorted({body[start:end] for start, end in zip(starts, [*starts[1:], len(body)], strict=True)})


def check_facts(content: dict[str, Any]) -> None:
    check_file(content_bytes({"model": weights(), **content}))


def check_header(header: Any) -> None:
    text = json.dumps(header).encode()
    check_file(struct.pack("<Q", len(text)) + text + bytes(64), "epoch_1.safetensors")


def check_folder(given: tuple[str, list[Edit]]) -> None:
    name, edits = given
    with folder() as run:
        (run / "epoch_1").mkdir()
        for file, content in good_folder().items():
            (run / "epoch_1" / file).write_bytes(edited(content, edits) if file == name else content)
        check_checkpoint(run / "epoch_1", run)


def check_metadata(given: list[tuple[str, Any]]) -> None:
    """Metadata with other values in any of its places."""
    content = good_folder()
    metadata = pickle.loads(content[".metadata"])
    metadata.storage_meta = None
    for place, value in given:
        _set(metadata, place, value)
    with folder() as run:
        (run / "epoch_1").mkdir()
        for file, data in content.items():
            (run / "epoch_1" / file).write_bytes(pickle.dumps(metadata) if file == ".metadata" else data)
        check_checkpoint(run / "epoch_1", run)


def _set(metadata: Any, place: str, value: Any) -> None:
    index = next(index for index in metadata.storage_data if index.fqn == "model.conv1.weight")
    entry = metadata.state_dict_metadata.get("model.conv1.weight")
    if place in ("relative_path", "offset", "length", "transform_descriptors"):
        setattr(metadata.storage_data[index], place, value)
    elif place in ("planner_data", "version"):
        setattr(metadata, place, value)
    elif place == "entry":
        metadata.state_dict_metadata["model.conv1.weight"] = value
    elif place == "planned" and isinstance(metadata.planner_data, dict):
        metadata.planner_data["model.conv1.weight"] = value
    elif hasattr(entry, "chunks") and place in ("size", "chunks"):
        setattr(entry, place, value)
    elif isinstance(getattr(entry, "chunks", None), list) and hasattr(
        next(iter(entry.chunks), None), "sizes"
    ):
        setattr(entry.chunks[0], place, value)


def check_notes(content: bytes) -> None:
    with folder() as run:
        (run / "checkpoint-5").mkdir()
        (run / "checkpoint-5" / "model.safetensors").write_bytes(good("safetensors"))
        (run / "checkpoint-5" / "trainer_state.json").write_bytes(content)
        check_checkpoint(run / "checkpoint-5", run)
        (run / "checkpoint-6").mkdir()
        (run / "checkpoint-6" / "model.safetensors.index.json").write_bytes(content)
        check_checkpoint(run / "checkpoint-6", run)


def check_names(names: list[str]) -> None:
    for parsed in parse_names(dict.fromkeys(names, False)).values():
        assert parsed.epoch is None or 0 <= parsed.epoch <= 1_000_000
        assert parsed.step is None or parsed.step <= 2**53


# -- pictures ------------------------------------------------------------------------------------------


def check_picture(given: tuple[str, list[Edit]]) -> None:
    form, edits = given
    with folder() as place:
        (place / "a").write_bytes(edited(_good_picture(form), edits))
        _, array, error, _ = Decoder(find_images(place), ResizeCrop(32, 32))[0]
        assert (array is None) != (error is None)
        assert array is None or array.shape == (32, 32, 3)
        assert error is None or "\n" not in error


@cache
def _good_picture(form: str) -> bytes:
    return picture_bytes(form, 24, 20)


# -- lists ---------------------------------------------------------------------------------------------


def check_list(given: tuple[str, bytes]) -> None:
    name, content = given
    with folder() as place:
        (place / "a.csv").write_bytes(content)
        with suppress(CmonError):
            _LISTS[name](place / "a.csv")


def _read_concepts(path: Path) -> None:
    for concept in concepts.read(path):
        assert concept.name
        assert len(concept.name) <= 1_000


def _read_metrics(path: Path) -> None:
    values = training_log.read(path, "run")
    assert values["value"].abs().max() <= 1e100
    assert values["epoch"].abs().max() <= 1e9


_LISTS: dict[str, Callable[[Path], object]] = {
    "concepts": _read_concepts,
    "images": find_images,
    "metrics": _read_metrics,
    "annotations": annotations.read,
    "classes": class_names.read_names,
}
CELLS = st.one_of(
    TEXT, st.sampled_from(("epoch", "path", "concept", "category", "loss", "1", "0.5", "1e308", "nan", "1,5"))
)


def csv_file(given: tuple[str, list[list[str]]]) -> bytes:
    delimiter, rows = given
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, escapechar="\\").writerows(rows)
    return buffer.getvalue().encode(errors="replace")


# -- tables and what is written ------------------------------------------------------------------------


def check_stamp(note: bytes) -> None:
    """A workspace's table with any note: fresh for no origin, and its parameters are a CmonError or a dict."""
    with folder() as place:
        workspace = Workspace(place)
        table = schemas.IMAGES.empty_table().replace_schema_metadata({b"cmon": note})
        pq.write_table(table, workspace.table("images"))
        is_fresh(workspace.table("images"), "an origin")
        for ask in (
            workspace.parameters,
            workspace.origin,
            workspace.inputs,
            workspace.read,
            workspace.frame,
        ):
            with suppress(CmonError):
                ask("images")


def check_changed_note(given: list[tuple[str, Any]]) -> None:
    """A table with a note of which some entries are others."""
    with folder() as place:
        workspace = Workspace(place)
        workspace.write(workspace.table("images"), schemas.IMAGES.empty_table(), "origin", {})
        note = dict(stamp(workspace.table("images")))
        for name, value in given:
            note[name] = value
            if value is None:
                del note[name]
    check_stamp(json.dumps(note).encode())


def check_table_bytes(edits: list[Edit]) -> None:
    with folder() as place:
        workspace = Workspace(place)
        workspace.write(workspace.table("images"), schemas.IMAGES.empty_table(), "origin", {})
        path = workspace.table("images")
        path.write_bytes(edited(path.read_bytes(), edits))
        is_fresh(path, "origin")
        with suppress(CmonError):
            workspace.frame("images")


def check_written(texts: list[str]) -> None:
    """CSV gives every row back, Markdown and LaTeX have as many rows, and nothing in them acts on a terminal."""
    table = pa.table({"run": [texts[0]] * 2, "label": [texts[-1], None]})
    as_csv, as_markdown, as_latex = (
        formats.csv(table),
        formats.markdown(table),
        latex.latex(table, "a", texts[0]),
    )
    assert [len(row) for row in csv.reader(io.StringIO(as_csv))] == [2, 2, 2]
    assert len(as_markdown.splitlines()) == 4
    assert as_latex.count(r"\\") >= 2
    for written in (as_csv, as_markdown, as_latex):
        acting = [one for one in written if not one.isprintable() and one not in "\n\t" and ord(one) < 0xA0]
        assert not acting


def check_svg(text: str) -> None:
    with style.using():
        figure = matplotlib.figure.Figure(figsize=(2, 1))
        figure.text(0.1, 0.5, text)
        figure.gca().set_xlabel(text)
        figure.gca().set_title(text)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        style.save(figure, buffer, "svg")
    ET.fromstring(buffer.getvalue())


# -- all -----------------------------------------------------------------------------------------------

_SHAPES = st.lists(st.integers(-2, 1 << 63), max_size=4)
_ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(("F32", "F16", "I64", "BOOL", "F8_E4M3", "U64", "C64", "F31", 7)),
        "shape": st.one_of(_SHAPES, st.lists(st.integers(0, 4), max_size=3), JSON),
        "data_offsets": st.one_of(st.lists(st.integers(-1, 80), min_size=2, max_size=2), JSON),
    }
)
_PLACES = ("relative_path", "offset", "length", "transform_descriptors", "planner_data", "version", "entry", "planned",
           "size", "chunks", "sizes", "offsets")  # fmt: skip
_VALUES = st.one_of(
    JSON,
    st.sampled_from(("/dev/zero", "../x", "__0_0.distcp", ".metadata")),
    st.lists(st.integers(-2, 1 << 40), max_size=5).map(tuple),
    st.integers(0, 60_000),
)
_NOTE = ("schema_version", "cmon_version", "place", "origin", "inputs", "parameters", "content")
_FACTS = ("epoch", "step", "iteration", "meta", "state", "timestamp", "global_step")
_FORMS = ("PNG", "JPEG", "GIF", "WEBP", "AVIF", "BMP", "TIFF", "PPM", "JPEG2000")
_ANY_LIST = st.sampled_from(sorted(_LISTS))
_NAME = st.one_of(
    st.text(st.sampled_from("abe_-=.0123456789"), min_size=1, max_size=40),
    st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=40),
)

TARGETS = (
    Target("checkpoint, archive", EDITS.map(lambda e: edited(good("zip"), e)), check_file),
    Target("checkpoint, member", st.tuples(st.sampled_from(("data.pkl", "byteorder", "data/0")), EDITS), check_member),
    Target("checkpoint, pickle", st.lists(st.integers(0, len(_parts()) - 1), max_size=40), check_instructions),
    Target("checkpoint, old form", EDITS.map(lambda e: edited(good("old"), e)), check_file),
    Target(
        "checkpoint, facts",
        st.dictionaries(st.sampled_from(_FACTS), st.one_of(NUMBERS, JSON), max_size=4),
        check_facts,
    ),
    Target(
        "safetensors",
        EDITS.map(lambda e: edited(good("safetensors"), e)),
        lambda content: check_file(content, "epoch_1.safetensors"),
    ),
    Target("safetensors, header", st.dictionaries(TEXT, st.one_of(_ENTRY, JSON), max_size=4), check_header),
    Target("distributed, files", st.tuples(st.sampled_from((".metadata", "__0_0.distcp")), EDITS), check_folder),
    Target(
        "distributed, metadata",
        st.lists(st.tuples(st.sampled_from(_PLACES), _VALUES), min_size=1, max_size=3),
        check_metadata,
    ),
    Target("notes", st.one_of(st.binary(max_size=60), JSON.map(lambda one: json.dumps(one).encode())), check_notes),
    Target("names", st.lists(_NAME, min_size=1, max_size=4), check_names),
    Target("pictures", st.tuples(st.sampled_from(_FORMS), EDITS), check_picture),
    Target("lists", st.tuples(_ANY_LIST, st.one_of(st.binary(max_size=80), TEXT.map(str.encode))), check_list),
    Target(
        "CSV",
        st.tuples(
            _ANY_LIST,
            st.tuples(st.sampled_from(",;\t"), st.lists(st.lists(CELLS, max_size=4), max_size=6)).map(csv_file),
        ),
        check_list,
    ),
    Target(
        "workspace, notes",
        st.one_of(st.binary(max_size=40), JSON.map(lambda one: json.dumps(one).encode())),
        check_stamp,
    ),
    Target(
        "workspace, changed notes",
        st.lists(st.tuples(st.sampled_from(_NOTE), JSON), min_size=1, max_size=3),
        check_changed_note,
    ),
    Target("workspace, tables", EDITS, check_table_bytes),
    Target("tables", st.lists(TEXT, min_size=2, max_size=2), check_written),
    Target("SVG", TEXT, check_svg),
)  # fmt: skip
