"""Cards, cache, mirror, downloads, checksums, and pickles that must not run."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import io
import os
import pickle
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from graphkit.core.errors import ChecksumError, DataError, GraphKitError, UnknownNameError, UnsafeFileError
from graphkit.data import card, load, names, store
from graphkit.data.cards import Card, FileEntry, Source, parse, tu_card
from graphkit.data.unpickle import load_npz, loads

TRIPLES = {part: f"a\tr\t{part}\n".encode() for part in ("train.txt", "valid.txt", "test.txt")}


@pytest.fixture
def places(tmp_path, monkeypatch):
    """An empty cache and an empty mirror."""
    for name in ("GRAPHKIT_HOME", "GRAPHKIT_MIRROR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    return tmp_path / "GRAPHKIT_HOME", tmp_path / "GRAPHKIT_MIRROR"


def toy_card(url: str = "", packed: bool = False, **changes) -> Card:
    entries = []
    for name, content in TRIPLES.items():
        mirror = Source(mirror=f"{name}.gz" if packed else name)
        sources = (mirror, Source(url=f"{url}/{name}")) if url else (mirror,)
        entries.append(FileEntry(name, len(content), store.sha256(content), sources))
    return Card("toy", "Toy", "triples", ("triple",), family="f", dataset="d", files=tuple(entries), **changes)


def fill(mirror: Path, packed: bool = False) -> Path:
    folder = mirror / "f" / "d"
    folder.mkdir(parents=True)
    for name, content in TRIPLES.items():
        (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(content) if packed else content)
    return folder


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files``; breaks off the first ``breaks`` answers half-way."""

    def __init__(self, files: dict[str, bytes], breaks: int = 0) -> None:
        self.files, self.breaks, self.asked = files, breaks, []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        content = self.server.files.get(self.path.lstrip("/"))
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.server.breaks > 0:
            self.server.breaks -= 1
            content = content[: len(content) // 2]
        self.wfile.write(content)

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def serve():
    servers = []

    def start(files: dict[str, bytes], breaks: int = 0) -> Server:
        server = Server(files, breaks)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


# --- cards -----------------------------------------------------------------------------------------------------------


def test_every_card_parses_and_says_what_it_must():
    from graphkit.core.registry import entries

    assert len(names()) >= 45
    for name in names():
        one = card(name)
        assert one.name == name and one.reader in entries("reader"), name
        assert one.licence and one.citation and (one.statistics or not one.verified), name
        for entry in one.files:
            vouched = entry.sha256 or any(source.content_sha256 for source in entry.sources)
            assert entry.sources and bool(vouched and entry.bytes) >= one.verified, (name, entry.name)
        assert all(split in entries("split") for split in one.splits.values()), name
        for entry in one.files:
            assert any(source.url.startswith("https://") for source in entry.sources), (name, entry.name)


def test_unknown_dataset_suggests_the_nearest_name():
    with pytest.raises(UnknownNameError, match="unknown dataset 'coar'; did you mean 'cora'"):
        load("coar")


def test_unknown_task_split_and_option_say_what_there_is():
    with pytest.raises(UnknownNameError, match="'triple'; expected one of: link, node"):
        load("karate", task="triple")
    with pytest.raises(UnknownNameError, match="unknown split 'publik'"):
        load("karate", split="publik")
    with pytest.raises(UnknownNameError, match=r"unknown option 'ratoi'; did you mean 'ratio'|expected one of.*ratio"):
        load("karate", ratoi=(0.5, 0.25, 0.25))
    with pytest.raises(GraphKitError, match="karate has no public split; available: random"):
        load("karate", split="public")


def test_a_card_with_an_unknown_key_is_refused():
    with pytest.raises(UnknownNameError, match="card key 'licnce'"):
        parse({"name": "x", "title": "x", "reader": "tu", "tasks": ["graph"], "licnce": "MIT"})


# --- cache and mirror ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_files_of_a_mirror_folder_are_read_in_place(places, packed):
    home, mirror = places
    fill(mirror, packed)
    files = store.CardFiles(toy_card(packed=packed))
    assert files.read("train.txt") == TRIPLES["train.txt"]
    assert not (home / "raw").exists()


def test_a_wrong_mirror_file_is_refused_and_kept_aside(places):
    home, mirror = places
    (fill(mirror) / "train.txt").write_bytes(b"x\ty\tz\n")
    with pytest.raises(ChecksumError, match="does not have the checksum its card promises"):
        store.CardFiles(toy_card()).read("train.txt")
    kept = list((home / "rejected").rglob("*.rejected"))
    assert [path.read_bytes() for path in kept] == [b"x\ty\tz\n"]
    assert not (home / "raw").exists()


def test_truncated_gzip_in_the_mirror_is_refused(places):
    folder = fill(places[1], packed=True)
    whole = (folder / "train.txt.gz").read_bytes()
    (folder / "train.txt.gz").write_bytes(whole[:-9])
    with pytest.raises(DataError, match="ends early"):
        store.CardFiles(toy_card(packed=True)).read("train.txt")


def test_a_damaged_cached_file_is_put_aside_and_fetched_again(places, serve):
    home, _ = places
    server = serve(dict(TRIPLES))
    store.CardFiles(toy_card(server.url)).read("train.txt")
    cached = home / "raw" / "f" / "d" / "train.txt"
    cached.write_bytes(b"damaged")
    assert store.CardFiles(toy_card(server.url)).read("train.txt") == TRIPLES["train.txt"]
    assert cached.with_name("train.txt.rejected").read_bytes() == b"damaged"
    assert cached.read_bytes() == TRIPLES["train.txt"]


def test_a_download_that_breaks_off_starts_again(places, serve):
    server = serve(dict(TRIPLES), breaks=1)
    assert store.CardFiles(toy_card(server.url)).read("test.txt") == TRIPLES["test.txt"]
    assert server.asked == ["/test.txt", "/test.txt"]


def test_a_server_that_always_breaks_off_is_one_clear_error(places, serve):
    server = serve(dict(TRIPLES), breaks=100)
    with pytest.raises(DataError, match="cannot be downloaded"):
        store.CardFiles(toy_card(server.url)).read("test.txt")
    assert not list((places[0]).rglob("test.txt*"))


def test_a_wrong_download_is_refused(places, serve):
    server = serve({"train.txt": b"nonsense"})
    with pytest.raises(ChecksumError):
        store.CardFiles(toy_card(server.url)).read("train.txt")
    assert not (places[0] / "raw").exists()


def test_a_mirror_may_be_a_url(places, serve, monkeypatch):
    server = serve({f"f/d/{name}": content for name, content in TRIPLES.items()})
    monkeypatch.setenv("GRAPHKIT_MIRROR", server.url)
    assert store.CardFiles(toy_card()).read("train.txt") == TRIPLES["train.txt"]


def test_an_archive_is_downloaded_once_and_its_missing_options_are_remembered(places, serve):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("DS/DS_A.txt", "1, 2\n2, 1\n")
        archive.writestr("DS/DS_graph_indicator.txt", "1\n1\n2\n")
        archive.writestr("DS/DS_graph_labels.txt", "1\n-1\n")
    server = serve({"DS.zip": buffer.getvalue()})
    plain = tu_card("DS")
    moved = tuple(
        FileEntry(
            e.name, sources=(Source(url=f"{server.url}/DS.zip", member=e.sources[-1].member),), optional=e.optional
        )
        for e in plain.files
    )
    one = Card(**{**plain.__dict__, "files": moved})
    from graphkit.data.readers.tu import read_tu

    with pytest.raises(ChecksumError, match=r"nothing vouches for .*verify=False"):
        store.CardFiles(one).read("DS_A.txt")
    files = store.CardFiles(one, verify=False)
    assert len(read_tu(files).collated) == 2
    assert set(files.unverified) >= {"DS_A.txt", "DS_graph_indicator.txt"}
    assert (places[0] / "raw/tu/DS/DS_A.txt.sha256").read_text() == store.sha256(b"1, 2\n2, 1\n")
    assert len(read_tu(store.CardFiles(one, verify=False)).collated) == 2
    assert server.asked == ["/DS.zip"]


def test_an_archive_member_that_climbs_out_is_refused():
    entry = FileEntry("a.txt")
    with pytest.raises(UnsafeFileError, match="leaves the archive"):
        store.unpack(b"", entry, Source(url="http://x/a.zip", member="../../a.txt"), "a.zip")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_cache_says_what_to_do(places, serve):
    home, _ = places
    home.chmod(0o500)
    try:
        with pytest.raises(DataError, match=r"cannot be written.*GRAPHKIT_HOME"):
            store.CardFiles(toy_card(serve(dict(TRIPLES)).url)).read("train.txt")
    finally:
        home.chmod(0o700)


def test_a_cache_that_cannot_be_made_says_what_to_do(places, serve, monkeypatch):
    blocked = places[0] / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("GRAPHKIT_HOME", str(blocked / "cache"))
    with pytest.raises(DataError, match=r"cannot be written.*GRAPHKIT_HOME"):
        store.CardFiles(toy_card(serve(dict(TRIPLES)).url)).read("train.txt")


def test_a_cache_that_cannot_be_made_does_not_matter_beside_a_mirror(places, monkeypatch):
    fill(places[1])
    monkeypatch.setenv("GRAPHKIT_HOME", os.devnull + "/cache")
    assert store.CardFiles(toy_card()).read("train.txt") == TRIPLES["train.txt"]


def test_nowhere_to_be_found_is_one_sentence(places):
    with pytest.raises(DataError, match=r"in neither the cache .* nor the mirror"):
        store.CardFiles(toy_card()).read("train.txt")


def test_two_processes_fetch_one_dataset_at_once(places, serve, tmp_path):
    server = serve(dict(TRIPLES))
    program = (
        "import sys; sys.path[:0] = [sys.argv[2]]\n"
        "from test_data_store import toy_card\n"
        "from graphkit.data import store\n"
        "print(store.CardFiles(toy_card(sys.argv[1])).read('train.txt').decode().split()[2])\n"
    )
    command = [sys.executable, "-c", program, server.url, str(Path(__file__).parent)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=120)[0].strip() for process in running] == ["train.txt"] * 2
    assert server.asked == ["/train.txt"]


@pytest.mark.real
def test_two_processes_load_one_uncached_dataset_at_once_although_the_server_breaks_off(
    mirror, serve, fresh_python, places
):
    """From a name to a Dataset: nothing is cached, and the first answers end half-way."""
    folder = mirror / "knowledge-graph" / "nations"
    files = {f"knowledge-graph/nations/{path.name}": path.read_bytes() for path in folder.iterdir()}
    server = serve(files, breaks=2)
    program = "import graphkit as gk; print(gk.load('nations').split_hash)"
    environment = {**os.environ, "GRAPHKIT_MIRROR": server.url, "GRAPHKIT_HOME": str(places[0])}
    command = [sys.executable, "-c", program]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert len({out for out, _ in said}) == 1
    fetched = [path for path in server.asked if path.endswith("train.txt")]
    assert len(server.asked) == len(set(server.asked)) + 2 and fetched


def test_a_read_only_mirror_is_fine_and_stays_as_it_is(places):
    folder = fill(places[1], packed=True)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    for path in (*folder.iterdir(), folder, folder.parent):
        path.chmod(0o444 if path.is_file() else 0o555)
    try:
        files = store.CardFiles(toy_card(packed=True))
        assert {name: files.read(name) for name in TRIPLES} == TRIPLES
    finally:
        for path in (folder.parent, folder):
            path.chmod(0o755)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


# --- pickles ---------------------------------------------------------------------------------------------------------


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_hostile_pickle_is_refused_and_not_executed(tmp_path):
    with pytest.raises(
        UnsafeFileError, match=r"ind.cora.graph asks for (posix|nt).mkdir, which is not on the allow-list"
    ):
        loads(pickle.dumps({"a": Hostile(tmp_path / "made")}), "ind.cora.graph")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["eval", "exec", "getattr", "__import__", "open"])
def test_dangerous_builtins_are_refused(name):
    with pytest.raises(UnsafeFileError, match=name):
        loads(b"cbuiltins\n" + name.encode() + b"\n(S'1'\ntR.")


def test_numpy_and_scipy_come_through_under_old_and_new_names():
    data = {"m": scipy.sparse.csr_matrix(np.eye(3, dtype=np.float32)), "a": np.arange(4), "s": np.float64(1.5)}
    for protocol in range(2, 6):
        back = loads(pickle.dumps(data, protocol=protocol))
        assert (back["m"].toarray() == np.eye(3)).all() and back["a"].tolist() == [0, 1, 2, 3] and back["s"] == 1.5
    old = pickle.dumps(data, protocol=2).replace(b"scipy.sparse._csr", b"scipy.sparse.csr")
    assert (loads(old.replace(b"numpy._core", b"numpy.core"))["m"].toarray() == np.eye(3)).all()


def test_object_arrays_of_an_npz_go_through_the_same_list(tmp_path):
    good, bad = io.BytesIO(), io.BytesIO()
    np.savez(good, a=np.array([{"x": 1}], dtype=object), b=np.ones(2))
    assert load_npz(good.getvalue())["a"][0] == {"x": 1}
    np.savez(bad, a=np.array([Hostile(tmp_path / "made")], dtype=object))
    with pytest.raises(UnsafeFileError):
        load_npz(bad.getvalue())
    assert not (tmp_path / "made").exists()
    with pytest.raises(DataError, match="truncated"):
        load_npz(good.getvalue()[:-30])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_pickle_or_a_clear_error(data):
    with contextlib.suppress(DataError):
        loads(data)


@given(st.binary(max_size=300), st.integers(0, 400))
def test_gunzip_gives_back_or_refuses(data, cut):
    packed = gzip.compress(data, mtime=0)
    assert store.gunzip(packed, "x") == data
    if cut < len(packed) and cut > 0:
        with pytest.raises(DataError):
            store.gunzip(packed[:cut], "x")
