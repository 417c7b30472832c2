from cmon.reporting.page import explorer_panels

HALF = (1.5, 1.2)


def objects(value):
    """All models in a document."""
    if isinstance(value, dict):
        if value.get("type") == "object":
            yield value
        for inner in value.values():
            yield from objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner)


def test_a_panel_for_each_run_on_the_same_axes():
    made = explorer_panels.panels(3, HALF)
    found = list(objects(made.document))
    figures = [one for one in found if one["name"] == "Figure"]
    ranges = {one["attributes"]["name"]: one for one in found if one["name"] == "Range1d"}
    assert [one["id"] for one in figures] == list(made.roots)
    assert set(ranges) == {"x", "y"}  # each once: panels after the first refer to it
    assert (ranges["x"]["attributes"]["start"], ranges["x"]["attributes"]["end"]) == (-1.5, 1.5)
    assert (ranges["y"]["attributes"]["start"], ranges["y"]["attributes"]["end"]) == (-1.2, 1.2)
    assert {one["attributes"]["aspect_ratio"] for one in figures} == {1.25}  # one scale on both axes


def test_each_panel_has_its_own_empty_sources():
    made = explorer_panels.panels(2, HALF)
    sources = [one["attributes"] for one in objects(made.document) if one["name"] == "ColumnDataSource"]
    layers = ("units", "found", "anchors", "paths", "steps", "labels", "marks", "names", "hover")
    assert sorted(one["name"] for one in sources) == sorted(
        f"{layer}-{run}" for layer in layers for run in (0, 1)
    )
    assert all(column == [] for one in sources for _, column in one["data"]["entries"])


def test_the_library_can_stand_in_a_page_and_brings_its_licence():
    text = explorer_panels.library()
    assert "</script" not in text.lower()
    assert "Redistributions of source code must retain" in text[:2000]
