"""The user's own embedders: what is refused, and when the factory is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmon.clip import own
from cmon.errors import CmonError

CLASS = """
from pathlib import Path

class Mine:
    {name}
    preprocess = encode_images = encode_texts = len

def make():
    with open({log!r}, "a") as log:
        log.write("called\\n")
    return Mine()
"""


class Module:
    """A user's file, whose factory writes a line whenever it is called."""

    def __init__(self, folder: Path) -> None:
        self.path, self.log, self.memory = folder / "mine.py", folder / "calls.log", folder / "memory.json"
        self.reference = f"{self.path}:make"

    def write(self, name: str) -> None:
        self.path.write_text(CLASS.format(name=name, log=str(self.log)))

    def name(self) -> str:
        """As a new process learns it."""
        own._made.clear()
        return own.name(f"python:{self.reference}", self.reference, self.memory)

    @property
    def calls(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


@pytest.fixture
def module(tmp_path: Path) -> Module:
    return Module(tmp_path)


# -- when the factory is called ------------------------------------------------------------------------


def test_a_factory_is_called_once_in_a_process(module: Module) -> None:
    module.write("name = f'my {1} net'")
    spec = f"python:{module.reference}"
    assert module.name() == "my 1 net"
    first = own.load(spec, module.reference)
    assert own.load(spec, module.reference) is first
    assert own.name(spec, module.reference, module.memory) == "my 1 net"
    assert module.calls == 1


@pytest.mark.parametrize(
    "name",
    [
        "name = 'mine'",
        "def __init__(self): self.name = 'mine'",
        "@property\n    def name(self): return 'mine'",
    ],
)
def test_a_name_in_plain_text_is_asked_for_once(module: Module, name: str) -> None:
    module.write(name)
    assert [module.name() for _ in range(3)] == ["mine"] * 3
    assert module.calls == 1


def test_a_changed_module_is_asked_again(module: Module) -> None:
    module.write("name = 'mine'")
    module.name()
    module.write("name = 'mine'  # trained again")
    assert (module.name(), module.calls) == ("mine", 2)
    module.write("name = 'other'")
    assert (module.name(), module.calls) == ("other", 3)
    assert (module.name(), module.calls) == ("other", 3)


def test_a_name_that_depends_on_another_file_is_never_remembered(module: Module, tmp_path: Path) -> None:
    """As a name with a hash of the weights: they change, the module does not."""
    weights = tmp_path / "weights"
    module.write(f"def __init__(self): self.name = Path({str(weights)!r}).read_text()")
    for content in ("one", "two", "one"):
        weights.write_text(content)
        assert module.name() == content
    assert module.calls == 3


def test_an_importable_module_is_asked_once(module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    module.write("name = 'mine'")
    module.path.rename(module.path.with_name("importable_embedder.py"))
    monkeypatch.syspath_prepend(str(module.path.parent))
    module.reference = "importable_embedder:make"
    assert [module.name() for _ in range(3)] == ["mine"] * 3
    assert module.calls == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b"[]", b'{"name": "other"}'])
def test_a_damaged_memory_is_made_again(module: Module, damage: bytes) -> None:
    module.write("name = 'mine'")
    module.name()
    module.memory.write_bytes(damage)
    assert (module.name(), module.calls) == ("mine", 2)
    assert (module.name(), module.calls) == ("mine", 2)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("name = 'a'", "a"),
        ("class A:\n  name = 'a'\nclass B:\n  name = 'a'", "a"),
        ("SimpleNamespace(name='a', preprocess=p)", "a"),
        ("type('A', (), {'name': 'a'})", "a"),
        ("for name in words: print(name)\nx.name = 'a'", "a"),
        ("class A:\n  name = 'a'\nclass B:\n  name = 'b'", None),
        ("class A:\n  name = 'a' if GPU else 'b'", None),
        ("class A:\n  name = 'a' + VERSION", None),
        ("class A:\n  name = 'a'\n  def __init__(self, name): self.name = name", None),
        ("@dataclass\nclass A:\n  name: str = 'a'", None),
        ("class A:\n  name = 'a'\nsetattr(A, 'name', word)", None),
        ("name = 'a'\nname += 'b'", None),
        ("name, size = 'a', 3", None),
        ("class A:\n  name = 'a'\n  def name(self):\n    global x\n    return x", None),
        ("SimpleNamespace(name=3)", None),
        ("Mine('a')", None),
        ("def broken(", None),
        ("", None),
    ],
)
def test_the_name_in_a_modules_text(source: str, name: str | None) -> None:
    assert own.written_name(source.encode()) == name


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("make = {'a': 1}", "has no callable 'make'\n  expected: a function or a class\n  found:    a dict"),
        ("other = len", "has no callable 'make'\n  expected: a function or a class\n  found:    nothing"),
        (
            "def make(size): pass",
            "its factory failed\n  expected: .*without arguments\n  found:    TypeError: .*size",
        ),
        (
            "def make(): open('/no/such/weights')",
            "its factory failed\n.*\n  found:    FileNotFoundError: .*weights",
        ),
        (
            "def make(): pass",
            "is no embedder\n  expected: an object with name.*\n  found:    a NoneType without name",
        ),
        (
            "class make:\n    name = 3\n    preprocess = encode_images = encode_texts = len",
            "found:    a make whose name is 3, not a text",
        ),
        (
            "class make:\n    name = ' '\n    preprocess = encode_images = encode_texts = len",
            "found:    a make whose name is ' ', not a text",
        ),
        (
            "class make:\n    name = 'a'\n    preprocess = encode_images = len\n    encode_texts = None",
            "found:    a make whose encode_texts is None, not a function",
        ),
        (
            "class make:\n    name = 'a'\n    preprocess = encode_texts = len",
            "found:    a make without encode_images",
        ),
    ],
)
def test_a_factory_that_gives_no_embedder_is_refused(tmp_path: Path, body: str, message: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(body)
    with pytest.raises(CmonError, match=f"(?s)--clip python:{path}:make: .*{message}"):
        own.load(f"python:{path}:make", f"{path}:make")
