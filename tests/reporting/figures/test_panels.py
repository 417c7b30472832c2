from matplotlib.figure import Figure

from cmon.reporting.figures import panels, style


def test_layers_and_ticks_are_thinned():
    assert panels.shown_layers(list("abc")) == ["a", "b", "c"]
    assert panels.shown_layers([f"{at}" for at in range(12)]) == ["0", "4", "7", "11"]
    ax = Figure().subplots()
    for epochs, wanted in (
        (range(30), ["0", "8", "16", "24"]),
        ([3.0], ["3"]),
        ([0.5, 1.0, 1.5], ["0.5", "1", "1.5"]),
        ([0, 1, 2, 50, 100], ["0", "50", "100"]),
    ):
        panels.epoch_axis(ax, epochs, columns=4)
        assert [label.get_text() for label in ax.get_xticklabels()] == wanted


def test_runs_look_different():
    looks = [panels.color_and_marker(index, style.LIGHT) for index in range(56)]
    assert len(set(looks)) == 56
