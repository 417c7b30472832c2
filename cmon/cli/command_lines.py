"""From the kept options of a stage back to the command line that gives them: what `cmon watch --dry-run` prints."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from cmon.kept_options import Call


def command_line(workspace: Path, call: Call, command: click.Command) -> str:
    """What to type, quoted for a shell; options with their default are left out.

    What was given by value, such as concepts in a list, has no command line: then the call of the function.
    """
    words = ["cmon", call.stage, os.fspath(workspace)]
    with click.Context(command) as context:
        for option in command.params:
            if not isinstance(option, click.Option) or option.name not in call.options:
                continue
            value = call.options[option.name]
            if _same(value, option.get_default(context)):
                continue
            said = _say(option, value)
            if said is None:
                return _python_call(workspace, call)
            words += said
    return shlex.join(words)


def _same(value: Any, default: Any) -> bool:
    """Whether an option was left as it is; click has a mark of its own where nothing is the default."""
    nothing: tuple[Any, ...] = (None, (), [], {})
    return value == default or (value in nothing and (default in nothing or repr(default).endswith("UNSET")))


def _say(option: click.Option, value: Any) -> list[str] | None:
    """The words of an option; None where its parser would not give the value back."""
    if option.is_flag:
        return [option.opts[0]] if value else []
    several: Sequence[Any] = [value]
    if isinstance(value, Mapping):
        several = list(value.items())
    elif option.multiple:
        several = value
    words = []
    for one in several:
        text = _text(option, one)
        if text is None:
            return None
        words += [option.opts[0], text]
    return words


def _text(option: click.Option, value: Any) -> str | None:
    between = _BETWEEN.get(str(option.name), "=")
    text = between.join(map(_plain, value)) if isinstance(value, tuple) else _plain(value)
    try:
        back = option.type.convert(text, option, None)
    except click.BadParameter:
        return None
    same_path = isinstance(value, Path) and os.fspath(back) == os.fspath(value)
    return text if back == value or same_path else None


_BETWEEN = {"epochs": ":", "track": ":", "mean": ",", "std": ","}
"""What stands between the parts of a value; else, as for `NAME=FOLDER`, an equals sign."""


def _plain(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return os.fspath(value) if isinstance(value, Path) else str(value)


def _python_call(workspace: Path, call: Call) -> str:
    """The same as a call in a notebook."""
    options = ", ".join(
        f"{name}={_literal(value)}" for name, value in call.options.items() if value not in (None, (), {})
    )
    return f"cmon.{call.stage}({os.fspath(workspace)!r}, {options})"


def _literal(value: Any) -> str:
    if isinstance(value, Path):
        return repr(os.fspath(value))
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_literal(one)}" for key, one in value.items()) + "}"
    return repr(value)
