from __future__ import annotations

from cmon.errors import CmonError, nearest_names


def test_a_message_says_where_what_was_expected_what_was_found_and_what_to_do() -> None:
    error = CmonError("file: is odd", expected="even", found="odd", hint="add one")
    assert str(error).splitlines() == [
        "file: is odd",
        "  expected: even",
        "  found:    odd",
        "  next:     add one",
    ]


def test_a_message_leaves_out_what_is_not_known() -> None:
    assert str(CmonError("file: is odd")) == "file: is odd"
    assert str(CmonError("file: is odd", hint="add one")).count("\n") == 1


def test_a_misspelt_name_is_answered_with_near_ones_nearest_first() -> None:
    assert nearest_names("layer5", ["conv1", "layer4", "layer4.0"]).startswith("did you mean 'layer4'")


def test_a_name_like_no_other_is_answered_with_the_first_known_and_their_number() -> None:
    names = [f"block{number}" for number in range(30)]
    hint = nearest_names("zzz", names)
    assert hint.startswith("known names: block0, block1")
    assert hint.endswith("and 20 more")
    assert nearest_names("zzz", ["a", "b"]) == "known names: a, b"


def test_a_message_on_one_line_keeps_its_parts_apart() -> None:
    error = CmonError("a.pt: damaged", expected="a file\n  of torch", found="0 bytes", hint="copy it again")
    assert error.line == "a.pt: damaged; expected a file of torch; found 0 bytes; next: copy it again"
    assert CmonError("gone").line == "gone"
