"""Published weights: fetched once, used only when they are what was published."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import skyloom
from skyloom import downloads
from skyloom.bundle import Bundle
from skyloom.downloads import download_path, fetch
from skyloom.errors import DownloadError
from skyloom.registry import find
from skyloom.specs import WeightsSpec
from tests.conftest import Installer
from tests.core.test_registry import AFFINE


class Server(ThreadingHTTPServer):
    """Serves one file, and counts how often."""

    body = b""
    served = 0
    cut_after: int | None = None
    drip: tuple[int, float] | None = None  # so many bytes, and so many seconds, at a time
    drip_headers = False
    stopped = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if not self.path.startswith("/weights.zip"):
            self.send_error(404)
            return
        self.server.served += 1
        if self.server.drip_headers:
            self.dripped(b"HTTP/1.0 200 OK\r\nX-Long: " + b"x" * 10_000)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.dripped(self.server.body[: self.server.cut_after])

    def dripped(self, data: bytes) -> None:
        """Send all at once, or a little at a time, for no longer than a test should wait."""
        size, seconds = self.server.drip or (max(len(data), 1), 0.0)
        until = time.monotonic() + 20
        for start in range(0, len(data), size):
            if time.monotonic() > until or self.server.stopped.wait(seconds):
                return
            try:
                self.wfile.write(data[start : start + size])
            except OSError:  # nobody listens any more
                return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        pass


@pytest.fixture
def server(affine_bundle: Path, tmp_path: Path) -> Iterator[Server]:
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", affine_bundle))
    running = Server(("127.0.0.1", 0), Handler)
    running.body = archive.read_bytes()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    running.stopped = threading.Event()
    yield running
    running.stopped.set()
    running.shutdown()
    thread.join()
    running.server_close()


def spec(server: Server, **changes: object) -> WeightsSpec:
    fields: dict[str, object] = {
        "name": "affine-published",
        "model": "affine",
        "summary": "For tests",
        "licence": "CC0-1.0",
        "url": f"http://127.0.0.1:{server.server_port}/weights.zip",
        "sha256": hashlib.sha256(server.body).hexdigest(),
        "size": len(server.body),
    }
    return WeightsSpec.model_validate({**fields, **changes})


def leftovers(home: Path) -> list[str]:
    return [path.name for path in home.rglob("*") if path.is_file()]


def test_weights_are_downloaded_once(server: Server, home: Path) -> None:
    weights = spec(server)
    path = fetch(weights)
    assert path == download_path(weights)
    assert path.read_bytes() == server.body
    assert fetch(weights) == path
    assert server.served == 1
    assert leftovers(home) == [path.name]


def test_published_weights_load_by_name(server: Server, install: Installer) -> None:
    install("skyloom-affine", AFFINE)
    weights = spec(server)
    install(
        "publishing",
        f"""
        import skyloom

        @skyloom.hookimpl
        def skyloom_weights():
            yield skyloom.WeightsSpec.model_validate({weights.model_dump()!r})
        """,
    )
    before = find("affine-published")
    assert (before.kind, before.ready, before.size) == ("weights", False, len(server.body))
    assert isinstance(skyloom.load("affine-published"), skyloom.Metric)
    assert find("affine-published").ready
    server.shutdown()
    assert isinstance(skyloom.load("affine-published"), skyloom.Metric)
    assert server.served == 1


def test_another_file_than_the_published_one_is_never_used(server: Server, home: Path) -> None:
    weights = spec(server, sha256="0" * 64)
    with pytest.raises(DownloadError, match="is not the published file") as caught:
        fetch(weights)
    assert str(download_path(weights)) in caught.value.remedy
    assert leftovers(home) == []


def test_a_file_put_there_by_hand_is_checked_too(server: Server) -> None:
    weights = spec(server)
    download_path(weights).parent.mkdir(parents=True)
    download_path(weights).write_bytes(server.body)
    assert fetch(weights) == download_path(weights)
    assert server.served == 0
    download_path(weights).write_bytes(b"something else")
    assert fetch(weights).read_bytes() == server.body
    assert server.served == 1


def test_what_is_longer_than_the_published_file_is_cut_off(server: Server, home: Path) -> None:
    weights = spec(server)
    server.body = bytes(8_000_000)
    with pytest.raises(DownloadError, match="is longer than the"):
        fetch(weights)
    assert leftovers(home) == []


def test_several_threads_may_fetch_at_once(server: Server, home: Path) -> None:
    weights = spec(server)
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(fetch, [weights] * 8))
    assert {path.read_bytes() for path in paths} == {server.body}
    assert leftovers(home) == [download_path(weights).name]


def test_an_address_need_not_end_in_zip(server: Server, install: Installer) -> None:
    weights = spec(server, url=f"http://127.0.0.1:{server.server_port}/weights.zip/content?download=1")
    assert Bundle.open(fetch(weights)).name == "affine-test"


def test_an_interrupted_download_leaves_nothing(server: Server, home: Path) -> None:
    server.cut_after = 100
    with pytest.raises(DownloadError, match="cannot download"):
        fetch(spec(server))
    assert leftovers(home) == []
    server.cut_after = None
    assert fetch(spec(server)).read_bytes() == server.body


@pytest.mark.parametrize("headers", [False, True])
def test_a_server_that_drips_does_not_hold_a_download(
    server: Server, home: Path, monkeypatch: pytest.MonkeyPatch, headers: bool
) -> None:
    monkeypatch.setattr(downloads, "_WINDOW", 0.5)
    server.drip, server.drip_headers = (1, 0.02), headers
    began = time.monotonic()
    with pytest.raises(DownloadError, match=r"is too slow: it sent \d+ bytes in 0.5 seconds") as caught:
        fetch(spec(server))
    assert time.monotonic() - began < 10
    assert str(download_path(spec(server))) in caught.value.remedy
    assert leftovers(home) == []


def test_a_slow_server_is_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_WINDOW", 0.5)
    monkeypatch.setattr(downloads, "_LEAST_RATE", 100)
    monkeypatch.setattr(downloads, "_CHUNK", 100)
    server.body = server.body.ljust(5000)
    server.drip = (200, 0.05)  # 1.25 seconds in all
    assert fetch(spec(server)).read_bytes() == server.body


def test_what_a_killed_download_left_is_discarded(server: Server, home: Path) -> None:
    weights = spec(server)
    target = download_path(weights)
    target.parent.mkdir(parents=True)
    left, young = (target.with_name(f".{target.name}.{word}.part") for word in ("0123abcd", "4567abcd"))
    left.write_bytes(b"half of it")
    young.write_bytes(b"under way elsewhere")
    os.utime(left, (0, 0))
    assert fetch(weights).read_bytes() == server.body
    assert sorted(leftovers(home)) == [young.name, target.name]


def test_offline_the_error_says_what_to_get_and_where_to_put_it(server: Server) -> None:
    weights = spec(server, url="http://127.0.0.1:9/weights.zip")
    with pytest.raises(DownloadError) as caught:
        fetch(weights)
    for needed in (weights.url, weights.sha256, str(weights.size), str(download_path(weights))):
        assert needed in str(caught.value)
    assert "no connection" in caught.value.problem


def test_a_missing_file_is_told_from_a_missing_network(server: Server) -> None:
    with pytest.raises(DownloadError, match="the server answered 404"):
        fetch(spec(server, url=f"http://127.0.0.1:{server.server_port}/elsewhere.zip"))
