"""Stores that run here: fsspec's own in memory, and moto's server, which answers as S3 does."""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cmon.storage import urls


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copies of a test are of no other one."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("CMON_CACHE", str(folder))
    return folder


@pytest.fixture
def memory() -> Iterator[str]:
    """The URL of a bucket in memory."""
    import fsspec

    name = f"bucket-{uuid.uuid4().hex[:12]}"
    yield f"memory://{name}"
    store = fsspec.filesystem("memory").store
    for path in [path for path in store if path.startswith(f"/{name}/")]:
        del store[path]


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Where moto's server listens; the environment says so to all that read it, in processes begun here, too."""
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'cmon[urls]'")
    moto = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server]'")
    own = {
        "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in own.items():
            patch.setenv(name, value)
        server = moto.ThreadedMotoServer(port=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server.start()
        host, port = server.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture
def s3(s3_server: str) -> str:
    """The URL of a new bucket."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    file_system(f"s3://{name}").mkdir(f"s3://{name}")
    return f"s3://{name}"


def file_system(url: str) -> Any:
    return urls.connect(url)[0]


def forget_connections() -> None:
    """Connect anew from now on, as the environment says by then."""
    for system in urls._systems.values():
        type(system).clear_instance_cache()
    urls._systems.clear()


def upload(folder: Path, url: str) -> str:
    """Put all files of a folder in a store; gives the URL."""
    system = file_system(url)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            system.pipe_file(f"{url}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return url
