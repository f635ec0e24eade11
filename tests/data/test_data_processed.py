"""What is kept of a loaded dataset is read again only while card, reader, code, options and raw files are the same."""

from __future__ import annotations

import dataclasses
import os

import pytest
import torch

import graphkit as gk
from graphkit.core.errors import ChecksumError
from graphkit.core.registry import find
from graphkit.data import processed, sources, store
from graphkit.data.cards import tu_card

TOY = {
    "A": "1, 2\n2, 1\n2, 3\n3, 2\n4, 5\n5, 4\n",
    "graph_indicator": "1\n1\n1\n2\n2\n",
    "graph_labels": "0\n1\n",
    "node_attributes": "0.5\n1.5\n2.5\n3.5\n4.5\n",
}


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A cache and a mirror with the set TOY, and a count of how often its reader ran."""
    home, folder = tmp_path / "home", tmp_path / "mirror" / "tu" / "TOY"
    folder.mkdir(parents=True)
    for part, text in TOY.items():
        (folder / f"TOY_{part}.txt").write_text(text)
    monkeypatch.setenv("GRAPHKIT_HOME", str(home))
    monkeypatch.setenv("GRAPHKIT_MIRROR", str(tmp_path / "mirror"))
    return home / "processed", folder


@pytest.fixture
def runs(monkeypatch):
    from graphkit.data import loading

    seen, call = [], loading._call
    monkeypatch.setattr(loading, "_call", lambda *args: seen.append(1) or call(*args))
    return seen


def load(**options):
    return gk.load("tu/TOY", split={"train": [0], "test": [1]}, verify=False, **options)


def vouched_card():
    plain = tu_card("TOY")
    found = [entry for entry in plain.files if entry.name.removeprefix("TOY_").removesuffix(".txt") in TOY]
    files = tuple(
        dataclasses.replace(e, sha256=store.sha256(TOY[e.name.removeprefix("TOY_").removesuffix(".txt")].encode()))
        for e in found
    )
    return dataclasses.replace(plain, files=files, verified=True)


def test_a_second_load_does_not_run_the_reader_and_gives_the_same(places, runs):
    first, second = load(), load()
    assert len(runs) == 1 and len(list(places[0].iterdir())) == 1
    assert first.fingerprint() == second.fingerprint()
    assert first.checksums == second.checksums and len(second.checksums) == 4
    assert first.report == second.report and len(second.report["unverified"]) == 4
    assert second.collated.node_fields["feat"].data_ptr() == second.collated.node_fields["attr"].data_ptr()


def test_options_of_the_reader_are_kept_apart(places, runs):
    sizes = [load(**{"features": f}).collated.num_nodes for f in ("degree", "none", "degree", "none")]
    assert sizes == [5] * 4 and len(runs) == 2 and len(list(places[0].iterdir())) == 2


@pytest.mark.parametrize("name", ["tu.py", "tables.py", "raw.py", "build.py"])
def test_other_code_of_the_reader_or_of_what_it_stands_on_makes_it_anew(places, runs, monkeypatch, name):
    load()
    (old,) = places[0].iterdir()
    read = sources._read
    monkeypatch.setattr(sources, "_read", lambda path: read(path) + b"# changed" * (path.name == name))
    load(), load()
    assert len(runs) == 2, "made anew once, then kept"
    (new,) = places[0].iterdir()
    assert new != old, "what was kept of the old code is neither read nor left lying"


def test_code_that_shapes_no_graph_is_no_part_of_the_version(places, runs, monkeypatch):
    load()
    read = sources._read
    apart = ("store.py", "errors.py", "loading.py")
    monkeypatch.setattr(sources, "_read", lambda path: read(path) + b"# changed" * (path.name in apart))
    load()
    assert len(runs) == 1


def test_every_reader_that_is_kept_has_a_version_of_its_own_module():
    from graphkit.core.registry import entries

    kept = [entry for entry in entries("reader").values() if entry.options.get("keep")]
    assert len(kept) >= 20
    for entry in kept:
        module = entry.obj.__module__.rpartition(".")[2]
        assert f"{module}.py" in {path.name for path in sources.stands_on(sources._file(entry.obj.__module__))}
        assert len(sources.version(entry.obj)) == 64


def test_a_reader_made_in_a_session_has_a_version_too():
    def reader(files):
        return files

    reader.__module__ = "__main__of_a_session__"
    assert len(sources.version(reader)) == 64


def test_another_card_makes_it_anew(places, runs):
    card = vouched_card()
    for one in (
        card,
        card,
        dataclasses.replace(card, options={"features": "none"}),
        dataclasses.replace(card, title="T"),
    ):
        processed.read(one, store.CardFiles(one), one.options)
    assert len(runs) == 3


def test_a_file_that_nothing_vouches_for_is_read_anew_once_it_changes(places, runs):
    assert load().collated.num_edges == 6
    file = places[1] / "TOY_A.txt"
    file.write_text(TOY["A"] + "1, 3\n3, 1\n")
    assert load().collated.num_edges == 8 and len(runs) == 2
    os.utime(file, ns=(0, 0))
    assert load().collated.num_edges == 8 and len(runs) == 3


def test_what_was_loaded_unverified_is_still_refused_to_those_who_want_it_verified(places):
    load()
    with pytest.raises(ChecksumError, match="nothing vouches for"):
        gk.load("tu/TOY")


def test_files_that_a_card_vouches_for_need_not_be_there_again(places, runs):
    card = vouched_card()
    before = processed.read(card, store.CardFiles(card), {})
    for file in places[1].iterdir():
        file.unlink()
    files = store.CardFiles(card)
    assert torch.equal(processed.read(card, files, {}).collated.src, before.collated.src)
    assert len(runs) == 1 and set(files.checksums) == {entry.name for entry in card.files}


def test_arrays_changed_in_place_change_in_memory_alone(places):
    load()
    data = load()
    data.collated.node_fields["feat"] += 1
    data.collated.src[0] = 2
    assert load().collated.node_fields["feat"][:, 0].tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert load().collated.src[0] != 2


def test_a_cache_that_cannot_be_written_is_passed_over(places, runs, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_HOME", os.devnull + "/cache")
    assert load().collated.num_edges == load().collated.num_edges == 6
    assert len(runs) == 2 and find("reader", "tu").options["keep"]


def test_a_terminal_shows_what_is_read_for_the_first_time(places, monkeypatch):
    """In a pseudo-terminal of its own: a spinner on standard error at the first load, nothing at the second."""
    import pty
    import subprocess
    import sys

    program = "import graphkit as gk; print(len(gk.load('tu/TOY', split={'train': [0], 'test': [1]}, verify=False)))"
    said = []
    for _ in range(2):
        leader, follower = pty.openpty()
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=follower) as process:
            os.close(follower)
            text = b""
            while True:
                try:
                    part = os.read(leader, 4096)
                except OSError:  # the terminal is closed
                    break
                if not part:
                    break
                text += part
            assert process.communicate(timeout=120)[0].strip() == b"2", text
        os.close(leader)
        said.append(text.decode())
    assert "reading tu/TOY: its raw files" in said[0] and "reading" not in said[1]
