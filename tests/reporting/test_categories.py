from cmon.reporting.categories import NO_CATEGORY, in_order


def test_brodens_categories_come_first_and_none_last():
    names = [NO_CATEGORY, "weather", "color", "mood", "object", "color"]
    assert in_order(names) == ["object", "color", "mood", "weather", NO_CATEGORY]
    assert in_order([]) == []
