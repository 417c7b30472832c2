from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from scripts.maintenance import references


def test_the_pages_describe_commands_and_tables_as_they_are() -> None:
    assert CliRunner().invoke(references.main, ["--check"]).exit_code == 0


def test_every_command_has_its_help() -> None:
    text = references.commands()
    for name in ("extract", "score", "embed", "report"):
        assert f"## cmon {name}\n\n```text\nUsage: cmon {name} " in text
        assert f"  cmon {name} demo" in text  # its example


def test_a_page_is_written_between_its_marks_only(tmp_path: Path) -> None:
    for name in references.PAGES:
        (tmp_path / name).write_text(f"# By hand\n{references.BEGIN}\nold\n{references.END}\nlast\n")
    check = CliRunner().invoke(references.main, [str(tmp_path), "--check"])
    assert check.exit_code == 1
    assert "out of date" in check.stderr
    assert "old" in (tmp_path / "tables.md").read_text()
    assert CliRunner().invoke(references.main, [str(tmp_path)]).exit_code == 0
    for name, make in references.PAGES.items():
        text = (tmp_path / name).read_text()
        assert text == f"# By hand\n{references.BEGIN}\n\n{make()}\n{references.END}\nlast\n"
    assert CliRunner().invoke(references.main, [str(tmp_path), "--check"]).exit_code == 0


def test_a_page_without_marks_is_an_error(tmp_path: Path) -> None:
    for name in references.PAGES:
        (tmp_path / name).write_text("# By hand\n")
    result = CliRunner().invoke(references.main, [str(tmp_path)])
    assert result.exit_code == 1
    assert "holds no marks" in result.output
