from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from cmon.cli import terminal


@pytest.fixture
def root_handler() -> Iterator[list[str]]:
    """What a handler of somebody else's on the root logger gets, as open_clip leaves one."""
    seen: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    handler = Listener()
    logging.getLogger().addHandler(handler)
    yield seen
    logging.getLogger().removeHandler(handler)


def test_a_warning_is_shown_once_whatever_hangs_on_the_root_logger(
    capsys: pytest.CaptureFixture[str], root_handler: list[str]
) -> None:
    logger = logging.getLogger("cmon.some.module")
    with terminal.session(quiet=True):
        for layer in ("layer3", "layer4", "layer4"):
            logger.warning("the images are few")
            logger.warning("%s: is flat", layer)
    said = capsys.readouterr().err
    assert said.count("warning: the images are few") == 1
    assert said.count("the images are few") == 1
    assert said.count("layer3: is flat") == said.count("layer4: is flat") == 1
    assert root_handler == []


def test_another_command_says_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        with terminal.session(quiet=True):
            logging.getLogger("cmon.some.module").warning("the images are few")
    assert capsys.readouterr().err.count("the images are few") == 2


def test_without_the_terminal_warnings_go_the_usual_way(root_handler: list[str]) -> None:
    with pytest.raises(ZeroDivisionError), terminal.session(quiet=True):  # noqa: PT012
        logging.getLogger("cmon").warning("inside")
        raise ZeroDivisionError
    logging.getLogger("cmon.some.module").warning("the images are few")
    assert root_handler == ["the images are few"]
