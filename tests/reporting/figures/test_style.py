import io

import pytest
from matplotlib.figure import Figure
from PIL import Image

from cmon.reporting.categories import NO_CATEGORY
from cmon.reporting.figures import style


def test_known_categories_keep_their_colors():
    colors = style.category_colors(["texture", "weather", "mood", NO_CATEGORY])
    assert colors["texture"] == style.CATEGORY_COLORS["texture"]
    assert len(set(colors.values())) == 4


def test_names_are_shortened_in_the_middle_and_titles_break_evenly():
    assert style.shortened("features.denseblock3.conv2", 12) == "featur…conv2"
    assert style.shortened(" two\nlines ", 12) == "two lines"
    figure = Figure(figsize=(3, 2))
    assert style.headline(figure, "one two three four five six seven") == 2
    assert figure.get_suptitle() == "one two three four\nfive six seven"
    assert style.headline(figure, "word " * 99) == 3
    assert figure.get_suptitle().endswith(" …")


def test_a_picture_has_300_dots_per_inch():
    buffer = io.BytesIO()
    style.save(Figure(figsize=(2, 1)), buffer, "png")
    with Image.open(buffer) as image:
        assert image.size == (600, 300)
        assert image.info["dpi"] == pytest.approx((300, 300), abs=1)
