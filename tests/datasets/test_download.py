"""Downloads, against a local server that breaks off, lies about its size, serves a wrong file, or ignores ranges."""

import contextlib
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from archrank.datasets.errors import DataError, DataMissing
from archrank.datasets.importers import SOURCES, Download, Source
from archrank.datasets.io import download

BODY = bytes(range(256)) * 400


class Server(BaseHTTPRequestHandler):
    """Behaves as its path says; notes what was asked for."""

    asked = []

    def log_message(self, *_):
        pass

    def handle(self):
        # Who has seen enough of a wrong answer hangs up in the middle of it.
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self):
        way = self.path.strip("/")
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        Server.asked.append((way, start))
        first = sum(name == way for name, _ in Server.asked) == 1
        if way == "nowhere":
            return self.send_error(404)
        if way == "busy" and first:
            return self.send_error(503)
        if way == "noranges":
            start = 0
        data = b"something else" if way == "wrong" else BODY[start:]
        announced, sent = len(data), data
        if way == "endless":
            announced, sent = None, data * 40
        elif way == "huge":
            announced = 10 * 1024**3
        elif way == "short":
            announced, sent = 100, data[:100]
        elif way in ("breaks", "noranges") and first:
            sent = data[:30_000]
        elif way == "stutters":
            sent = data[:10_000]
        self.send_response(206 if start else 200)
        if announced is not None:
            self.send_header("Content-Length", str(announced))
        self.end_headers()
        self.wfile.write(sent)
        self.close_connection = True


@pytest.fixture(scope="module")
def address():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    Server.asked.clear()
    monkeypatch.setattr(download, "CHUNK", 1 << 12)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def item(address, way, limit=1 << 20, method="sha256"):
    return Download(f"{address}/{way}", f"box/{way}.bin", f"{method}:{hashlib.new(method, BODY).hexdigest()}", limit)


def left(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("method", ["sha256", "md5"])
def test_good_file_is_fetched_once(address, tmp_path, method):
    answer = []
    for _ in range(2):
        path = download.fetch(
            item(address, "good", method=method), tmp_path, lambda done, total: answer.append((done, total))
        )
    assert path == tmp_path / "box" / "good.bin" and path.read_bytes() == BODY
    assert Server.asked == [("good", 0)] and answer[-1] == (len(BODY), len(BODY)) and left(tmp_path) == ["good.bin"]


def test_broken_transfer_goes_on_where_it_stopped(address, tmp_path):
    path = download.fetch(item(address, "breaks"), tmp_path)
    assert path.read_bytes() == BODY and Server.asked[0] == ("breaks", 0)
    assert len(Server.asked) == 2 and 0 < Server.asked[1][1] <= 30_000


def test_server_without_ranges_starts_again(address, tmp_path):
    assert download.fetch(item(address, "noranges"), tmp_path).read_bytes() == BODY
    assert len(Server.asked) == 2


def test_resumes_in_a_later_call(address, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TRIES", 2)
    with pytest.raises(DataError, match="could not be fetched in 2 tries"):
        download.fetch(item(address, "stutters"), tmp_path)
    assert left(tmp_path) == ["stutters.bin.part"]
    begun = (tmp_path / "box" / "stutters.bin.part").stat().st_size
    with pytest.raises(DataError):
        download.fetch(item(address, "stutters"), tmp_path)
    assert Server.asked[2] == ("stutters", begun) and begun > 10_000
    monkeypatch.setattr(download, "TRIES", 20)
    assert download.fetch(item(address, "stutters"), tmp_path).read_bytes() == BODY
    assert left(tmp_path) == ["stutters.bin"]


@pytest.mark.parametrize(
    ("way", "says"),
    [
        ("wrong", "not the official file"),
        ("short", "not the official file"),
        ("huge", "announces 10,737,418,240 bytes"),
        ("endless", "sends more than"),
        ("nowhere", "answers 404"),
    ],
)
def test_wrong_answers_are_refused_in_one_line_and_nothing_is_kept(address, tmp_path, way, says):
    with pytest.raises(DataError, match=says) as caught:
        download.fetch(item(address, way), tmp_path)
    assert "\n" not in str(caught.value) and left(tmp_path) == []


def test_wrong_file_does_not_replace_a_good_one(address, tmp_path):
    good = tmp_path / "box" / "wrong.bin"
    good.parent.mkdir()
    good.write_bytes(BODY)
    assert download.fetch(item(address, "wrong"), tmp_path).read_bytes() == BODY and not Server.asked


def test_busy_server_is_asked_again_and_a_dead_one_given_up(address, tmp_path):
    assert download.fetch(item(address, "busy"), tmp_path).read_bytes() == BODY
    with pytest.raises(DataError, match="could not be fetched"):
        download.fetch(item("http://127.0.0.1:9", "good"), tmp_path)


def test_without_an_address_it_says_what_to_fetch_and_which_command_imports_it(tmp_path):
    with pytest.raises(DataMissing) as caught:
        download.get(SOURCES["natsbench_size"], tmp_path)
    said = str(caught.value)
    assert "Google Drive" in said and "natsbench/NATS-sss-v1_0-50262-simple" in said and "archrank data import" in said
    assert "\n" not in said


def test_listed_downloads_have_a_digest_and_a_safe_place():
    for source in SOURCES.values():
        assert isinstance(source, Source)
        for file in source.downloads:
            method, _, digest = file.digest.partition(":")
            assert len(digest) == {"sha256": 64, "md5": 32}[method] and file.url.startswith("https://")
            assert ".." not in file.path and not file.path.startswith("/")
