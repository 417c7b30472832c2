from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from scripts.maintenance import links


def test_all_links_of_the_documentation_lead_somewhere() -> None:
    result = CliRunner().invoke(links.main)
    assert result.exit_code == 0, result.stderr


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/other.md").write_text(
        "# Other `code`, and more\n```\n# no heading\n```\n## Twice\n## Twice\n## a_b [c](d.md) *e*\n"
    )
    (tmp_path / "picture.png").touch()
    return tmp_path


def found(root: Path, text: str) -> list[str]:
    (root / "page.md").write_text(text)
    return list(links.problems(root / "page.md", root))


@pytest.mark.parametrize(
    "text",
    [
        "[a](docs/other.md) [b](docs/other.md#other-code-and-more) [c](docs/other.md#twice-1)",
        "[a](docs/other.md#a_b-c-e)",
        "![a picture](picture.png)",
        "[a](https://example.org/nowhere#at-all) [b](mailto:a@example.org)",
        "# Here\n[a](#here)",
        "[a][other]\n\n[other]: docs/other.md#twice",
        "`[a](nowhere.md)`\n\n```\n[b](nowhere.md)\n[c]: nowhere.md\n```",
        "[`code`](docs/other.md)",
    ],
)
def test_good_links_are_let_through(root: Path, text: str) -> None:
    assert found(root, text) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[a](nowhere.md)", "nowhere.md: no such file"),
        ("![a picture](docs/picture.png)", "docs/picture.png: no such file"),
        ("[a](docs/other.md#once)", "docs/other.md#once: no such heading"),
        ("[a](docs/other.md#no-heading)", "docs/other.md#no-heading: no such heading"),
        ("# Here\n[a](#there)", "#there: no such heading"),
        ("[a][other]", "[other] is not defined"),
        ("[a][other]\n\n[other]: nowhere.md", "nowhere.md: no such file"),
        ("[other]: docs/other.md", "[other] is defined, and not used"),
        ("[`code`](nowhere.md)", "nowhere.md: no such file"),
        ("[a](../)", "../: outside of the repository"),
    ],
)
def test_bad_links_are_named(root: Path, text: str, wrong: str) -> None:
    assert found(root, text) == [wrong]


def test_links_of_a_part_that_a_page_includes_are_checked_from_the_page(root: Path) -> None:
    (root / "whole.md").write_text(
        "[x](docs/not-part.md)\n<!-- --8<-- [start:part] -->\n# Part\n[a][other]\n<!-- --8<-- [end:part] -->\n"
    )
    page = root / "docs/page.md"
    page.write_text('--8<-- "whole.md:part"\n\n[other]: other.md\n[here]: #part\n[b][here]\n')
    assert list(links.problems(page, root)) == []
    page.write_text('--8<-- "whole.md:part"\n')
    assert list(links.problems(page, root)) == ["[other] is not defined"]
