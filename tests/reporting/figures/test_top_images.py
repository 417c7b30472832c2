import numpy as np

from cmon.reporting.figures.top_images import image_ids, shown_rows, top_images
from cmon.reporting.tracking import TrackedUnit
from tests.support.synthetic_tables import World, frames


def test_images_without_a_picture_are_grey_squares():
    units, _ = frames(World(runs=("a",), layers=("l",), epochs=(0.0, 1.0), units=2, dead=0))
    units["top_images"] = [np.array([7, 8])] * len(units)
    pictures = {7: np.full((20, 20, 3), 200, np.uint8)}
    tracked = [TrackedUnit("l", 1, "asked for")]
    figure = top_images("a", tracked, shown_rows(units, "a", tracked), pictures)
    mosaic = figure.axes[0].images[0].get_array()
    assert (mosaic[:20, :20] == 200).all()
    assert len(np.unique(mosaic[:20, 21:41].reshape(-1, 3), axis=0)) == 1
    assert not (mosaic[:20, 21:41] == 255).all()


def test_tracked_images_tell_label_score_fit_and_significance():
    units, _ = frames(World(runs=("a",), layers=("l",), epochs=(0.0, 1.0, 2.0), units=1, dead=0))
    units["label"], units["score"] = ["dog", "cat", None], [12.345, 6.0, np.nan]
    units["interpretable"], units["status"] = [True, False, False], ["ok", "ok", "dead"]
    units["fit"] = [0.74, 0.1, np.nan]
    tracked = [TrackedUnit("l", 0, "asked for")]
    figure = top_images("a", tracked, shown_rows(units, "a", tracked), {})
    words = {text.get_text(): text.get_fontweight() for text in figure.texts}
    assert words["epoch 0: dog"] == "bold"
    assert words["epoch 1: cat"] == "normal"
    assert {"12.3, 74% fit", "6.00 n.s., 10% fit", "epoch 2: dead"} <= set(words)
    assert "l:0 · asked for" in words
    assert len(figure.axes) == 2  # a dead unit has no images
    assert image_ids(units, ["a"], [TrackedUnit("l", 0, "")]) == {
        int(image) for images in units["top_images"] for image in images[:8]
    }
