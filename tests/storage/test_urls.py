"""What is a URL, and what is said of one that cannot be used; no message holds a password."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import cmon
from cmon.errors import CmonError
from cmon.storage import copies
from cmon.storage.urls import is_url, local_path, split_url, without_password
from cmon.workspace.workspace import Workspace
from tests.storage.conftest import file_system, forget_connections


@pytest.mark.parametrize("text", ["s3://bucket/work", "memory://work", "GS://bucket", "abfs://c@account/x"])
def test_urls(text: str) -> None:
    assert is_url(text)


@pytest.mark.parametrize(
    "text", ["work", "/data/work", "C:\\work", "C:/work", "s3:work", "file:///data/work", "a b://c", ""]
)
def test_paths(text: str) -> None:
    assert not is_url(text)
    assert local_path(text) == Path(text.removeprefix("file://"))


def test_a_path_that_was_a_url_is_refused_by_its_missing_slash(tmp_path: Path) -> None:
    with pytest.raises(CmonError, match="give the URL as text"):
        Workspace(Path("s3://bucket/work"))
    assert not Path("s3:").exists()


@pytest.mark.parametrize(
    "url", ["s3://", "s3://bucket//a", "s3://bucket/../a", "memory:///", "s3://bucket/./a"]
)
def test_what_is_no_place_in_a_store(url: str) -> None:
    with pytest.raises(CmonError, match="is no place in a store"):
        split_url(url)


def test_a_password_is_refused_and_not_shown() -> None:
    with pytest.raises(CmonError, match="a URL with a password in it") as caught:
        Workspace("sftp://me:secret@host/work")
    assert "secret" not in str(caught.value)
    assert without_password("https://me:sec@ret@host/a") == "https://host/a"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s4://bucket/work", "did you mean(.|\n)*'s3'"),
        ("nothing-like-it://bucket/work", "Protocol not known"),
        ("gs://bucket/work", "pip install gcsfs"),
    ],
)
def test_protocols_that_are_not_there(url: str, said: str) -> None:
    if url.startswith("gs") and "gcsfs" in sys.modules:
        pytest.skip("gcsfs is installed")
    with pytest.raises(CmonError, match=said):
        Workspace(url)
    with pytest.raises(CmonError, match=said):
        copies.refresh(copies.path_of(url))


def test_a_bucket_that_is_not_there(s3: str) -> None:
    missing = f"{s3}-of-another-name"
    with (
        pytest.raises(CmonError, match=r"cannot be written\n(.|\n)*see whether the bucket is there"),
        Workspace(f"{missing}/work").writing("extract"),
    ):
        raise AssertionError("never")
    with pytest.raises(CmonError, match="there is nothing"):
        copies.refresh(copies.path_of(f"{missing}/runs"))
    with pytest.raises(CmonError, match="not there yet"):
        Workspace(f"{s3}/work").read("shards")


def test_no_credentials(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    forget_connections()
    with pytest.raises(CmonError, match="give this machine credentials"):
        Workspace(f"{s3}/work")
    forget_connections()


def test_a_store_that_does_not_answer_is_no_empty_workspace(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Workspace(f"{s3}/work")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    system = type(file_system(s3))
    forget_connections()
    monkeypatch.setattr(system, "retries", 1)
    with pytest.raises(CmonError, match="can be reached from this machine"):
        place.read("shards")
    with pytest.raises(CmonError, match="can be reached from this machine"), place.writing("extract"):
        raise AssertionError("never")
    forget_connections()


def test_folders_import_nothing_of_it() -> None:
    code = (
        "import sys, cmon.cli.main, cmon.api\n"
        "from cmon.workspace.workspace import Workspace\n"
        "Workspace(sys.argv[1]).table('units').is_file()\n"
        "print([name for name in ('fsspec', 's3fs', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, "work"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_of_which_there_is_nothing(memory: str, probe_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CmonError, match=f"{memory}/none: there is nothing"):
        cmon.extract(
            tmp_path / "work",
            {"a": f"{memory}/none"},
            probe_folder,
            model="torchvision:resnet18",
            layers=["fc"],
        )
