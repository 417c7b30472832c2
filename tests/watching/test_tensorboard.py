"""What TensorBoard's own reader finds in the files."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from cmon.errors import CmonError
from cmon.kept_options import Call
from cmon.watching.measures import Findings, Measures, read_findings
from cmon.watching.pictures import IMAGES
from cmon.workspace.workspace import Workspace
from tests.support.synthetic_tables import World, rows, write

pytest.importorskip("tensorboard", reason="TensorBoard is not installed")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from cmon.watching.tensorboard import EPOCHS, SCALARS, STEPS, TensorBoard, find_steps

WORLD = World(units=20, images=40, epochs=(0.0, 1.0, 2.0))
CALLS = [
    *(Call(name, {}) for name in ("extract", "score", "embed")),
    Call("report", {"track": (("layer4", 7), ("layer3", 4)), "images": None}),
]


def made(folder: Path, epochs: int = 3, steps: bool = True) -> tuple[Workspace, Findings]:
    world = replace(WORLD, epochs=tuple(map(float, range(epochs))))
    tables = rows(world)
    for row in tables["checkpoints"]:
        row["step"] = int(50 * row["epoch"]) if steps and row["run"] == "standard" else None
    workspace = write(folder, world, tables)
    return workspace, read_findings(workspace, CALLS)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Findings]:
    return made(tmp_path_factory.mktemp("three"))


def written(board: TensorBoard, *findings: Findings) -> None:
    try:
        for one in findings:
            board.write(one)
    finally:
        board.close()


def without(findings: Findings, epoch: float) -> Findings:
    return replace(findings, measures=tuple(one for one in findings.measures if one.epoch != epoch))


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0}).Reload()


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    content = read(folder)
    return {tag: [(one.step, one.value) for one in content.Scalars(tag)] for tag in content.Tags()["scalars"]}


def expected(findings: Findings, run: str, at: dict[float, int]) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for one in findings.measures:
        for name, source in SCALARS.items():
            if one.run == run:
                point = (at[one.epoch], float(np.float32(getattr(one, source))))
                found.setdefault(f"{name}/{one.layer}", []).append(point)
    return found


def test_every_number_stands_at_the_checkpoints_step_and_else_at_the_epoch(three, tmp_path: Path) -> None:
    workspace, findings = three
    written(TensorBoard(workspace, tmp_path), findings)
    assert scalars(tmp_path / "standard") == expected(findings, "standard", {0: 0, 1: 50, 2: 100})
    assert scalars(tmp_path / "poor") == expected(findings, "poor", {0: 0, 1: 1, 2: 2})
    assert set(scalars(tmp_path / "poor")) == {
        f"{name}/{layer}"
        for name in ("d_anchor", "d_anchor_clip", "interpretable", "diversity")
        for layer in ("layer3", "layer4")
    }


def test_a_tracked_neuron_is_a_picture_of_its_top_images_at_each_epoch(three, tmp_path: Path) -> None:
    workspace, findings = three
    written(TensorBoard(workspace, tmp_path), findings)
    content = read(tmp_path / "standard")
    assert content.Tags()["images"] == ["tracked/layer4:7", "tracked/layer3:4"]
    units, images = findings.stored.units, findings.stored.images.set_index("image_id")
    own = units[(units["run"] == "standard") & (units["layer"] == "layer4") & (units["unit"] == 7)].set_index(
        "epoch"
    )
    events = content.Images("tracked/layer4:7")
    assert [one.step for one in events] == [50 * int(epoch) for epoch in own.index[own["status"] == "ok"]]
    for event, epoch in zip(events, own.index, strict=True):
        strip = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
        side = strip.shape[1] // IMAGES
        for place, image in enumerate(own.loc[epoch, "top_images"][:IMAGES]):
            shown = strip[-side:, place * side : (place + 1) * side].astype(float)
            whole = ImageOps.fit(Image.open(images.loc[image, "path"]).convert("RGB"), (side, side))
            assert np.abs(shown - np.asarray(whole)).mean() < 3


def test_a_new_epoch_is_added_and_none_is_there_twice_also_after_a_restart(three, tmp_path: Path) -> None:
    workspace, findings = three
    written(TensorBoard(workspace, tmp_path), without(findings, 2.0), findings, findings)
    alone = scalars(tmp_path / "standard")
    assert alone == expected(findings, "standard", {0: 0, 1: 50, 2: 100})
    pictures = {
        tag: len(read(tmp_path / "standard").Images(tag)) for tag in ("tracked/layer4:7", "tracked/layer3:4")
    }
    files = sorted((tmp_path / "standard").iterdir())
    written(TensorBoard(workspace, tmp_path), findings)
    assert sorted((tmp_path / "standard").iterdir()) == files
    content = read(tmp_path / "standard")
    assert scalars(tmp_path / "standard") == alone
    assert {tag: len(content.Images(tag)) for tag in pictures} == pictures


def test_an_epoch_after_a_restart_is_added_in_a_file_of_its_own(three, tmp_path: Path) -> None:
    workspace, findings = three
    written(TensorBoard(workspace, tmp_path), without(findings, 2.0))
    (first,) = (tmp_path / "standard").iterdir()
    before = first.read_bytes()
    written(TensorBoard(workspace, tmp_path), findings)
    assert len(list((tmp_path / "standard").iterdir())) == 2
    assert first.read_bytes() == before
    assert scalars(tmp_path / "standard") == expected(findings, "standard", {0: 0, 1: 50, 2: 100})
    assert [one.step for one in read(tmp_path / "standard").Images("tracked/layer4:7")] == [0, 50, 100]


def test_where_a_number_has_changed_the_run_is_written_anew(three, tmp_path: Path) -> None:
    workspace, findings = three
    other = replace(
        findings,
        measures=tuple(replace(one, d_anchor=1.5) if one.run == "poor" else one for one in findings.measures),
    )
    board = TensorBoard(workspace, tmp_path)
    board.write(findings)
    before = sorted((tmp_path / "standard").iterdir())
    board.write(other)
    written(board, other)
    assert scalars(tmp_path / "poor") == expected(other, "poor", {0: 0, 1: 1, 2: 2})
    assert sorted((tmp_path / "standard").iterdir()) == before
    written(TensorBoard(workspace, tmp_path), findings)
    assert scalars(tmp_path / "poor") == expected(findings, "poor", {0: 0, 1: 1, 2: 2})


def test_what_counted_steps_and_now_cannot_is_written_anew_by_epochs(three, tmp_path: Path) -> None:
    workspace, findings = three
    last = [replace(one, step=None) if one.epoch == 2.0 else one for one in findings.measures]
    written(TensorBoard(workspace, tmp_path), without(findings, 2.0))
    written(TensorBoard(workspace, tmp_path), replace(findings, measures=tuple(last)))
    assert scalars(tmp_path / "standard") == expected(findings, "standard", {0: 0, 1: 1, 2: 2})


def test_an_epoch_whose_checkpoint_is_gone_stays_as_history(three, tmp_path: Path) -> None:
    workspace, findings = three
    written(TensorBoard(workspace, tmp_path), findings, without(findings, 0.0))
    assert scalars(tmp_path / "standard") == expected(findings, "standard", {0: 0, 1: 50, 2: 100})


def test_what_the_training_writes_to_the_same_folder_is_left(three, tmp_path: Path) -> None:
    workspace, findings = three
    with SummaryWriter(str(tmp_path / "poor")) as training:
        training.add_scalar("loss", 0.5, 1)
    other = replace(findings, measures=tuple(replace(one, d_anchor=1.5) for one in findings.measures))
    written(TensorBoard(workspace, tmp_path), findings)
    written(TensorBoard(workspace, tmp_path), other)
    assert scalars(tmp_path / "poor") == {"loss": [(1, 0.5)], **expected(other, "poor", {0: 0, 1: 1, 2: 2})}


def test_a_record_that_was_cut_off_is_written_again(three, tmp_path: Path) -> None:
    workspace, findings = three
    written(TensorBoard(workspace, tmp_path), findings)
    (file,) = (tmp_path / "poor").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 3])
    assert len(scalars(tmp_path / "poor")) < 8 or scalars(tmp_path / "poor") != scalars(tmp_path / "standard")
    written(TensorBoard(workspace, tmp_path), findings)
    found = {tag: sorted(points) for tag, points in scalars(tmp_path / "poor").items()}
    assert found == expected(findings, "poor", {0: 0, 1: 1, 2: 2})


def test_what_cannot_be_written_is_an_error_and_tried_again(three, tmp_path: Path) -> None:
    workspace, findings = three
    (tmp_path / "standard").write_text("in the way")
    board = TensorBoard(workspace, tmp_path)
    with pytest.raises(CmonError, match="cannot be written"):
        board.write(findings)
    (tmp_path / "standard").unlink()
    written(board, findings)
    assert scalars(tmp_path / "standard") == expected(findings, "standard", {0: 0, 1: 50, 2: 100})


def measures(*pairs: tuple[float, int | None]) -> list[Measures]:
    return [Measures("a", "layer4", epoch, step, 8) for epoch, step in pairs]


@pytest.mark.parametrize(
    ("pairs", "axis", "steps"),
    [
        ([(0, 0), (1, 500), (2, 1000)], STEPS, {0: 0, 1: 500, 2: 1000}),
        ([(0, None), (1, 500)], STEPS, {0: 0, 1: 500}),
        ([(0.5, 250), (1.0, 500)], STEPS, {0.5: 250, 1: 500}),
        ([(0, None), (1, None), (2, 1000)], EPOCHS, {0: 0, 1: 1, 2: 2}),
        ([(1, 7), (2, 7)], EPOCHS, {1: 1, 2: 2}),
        ([(1, 9), (2, 7)], EPOCHS, {1: 1, 2: 2}),
        ([(0, None)], EPOCHS, {0: 0}),
        ([(0.5, None), (1.0, None)], EPOCHS, {1: 1}),
    ],
)
def test_an_axis_counts_one_thing(
    pairs: list[tuple[float, int | None]], axis: str, steps: dict[float, int]
) -> None:
    assert find_steps(measures(*pairs)) == (axis, steps)
