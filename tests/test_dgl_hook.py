"""The import hook: what imports, what refuses, in which processes, and what stays untouched."""

from __future__ import annotations

import base64
import copy
import hashlib
import importlib.metadata
import importlib.util
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import graphkit
from graphkit import _dgl, doctor

DGL = Path(importlib.util.find_spec("dgl").origin).parent
stood_in = pytest.mark.skipif(
    _dgl.imports_by_itself(str(DGL), torch.__version__), reason="this DGL imports by itself beside this torch"
)


def test_importing_graphkit_loads_nothing_heavy(fresh_python):
    out = fresh_python(
        "import sys, graphkit, graphkit.core.errors, graphkit.core.registry\n"
        "heavy = 'torch dgl rdkit numpy pandas sklearn scipy matplotlib numba lightning networkx'.split()\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert out.strip() == "[]"


def test_public_names_are_listed_and_unknown_ones_refused():
    assert {"load", "fit", "explain", "Run", "Dataset", "ops"} <= set(dir(graphkit))
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        graphkit.lod  # noqa: B018


@stood_in
def test_dgl_fails_without_the_hook_and_works_with_it(fresh_python):
    """If the first half passes one day, the stand-ins are no longer needed."""
    assert "Error" in fresh_python("import dgl", ok=False)
    assert fresh_python("import graphkit, dgl; print(dgl.graph(([0], [1])).num_edges())").strip() == "1"


@stood_in
def test_a_failed_import_of_dgl_can_be_repeated_after_graphkit(fresh_python):
    out = fresh_python(
        "try:\n    import dgl\nexcept Exception: pass\n"
        "import graphkit, dgl, dgl.nn, dgl.geometry, dgl.optim, torch\n"
        "print(tuple(dgl.nn.SAGEConv(3, 2, 'mean')(dgl.rand_graph(5, 9), torch.rand(5, 3)).shape))"
    )
    assert out.strip() == "(5, 2)"


def test_torch_is_imported_before_dgl_and_no_file_is_written_to_the_home_folder(fresh_python, tmp_path):
    out = fresh_python(
        "import sys, graphkit, dgl; names = list(sys.modules)\n"
        "print(names.index('torch') < names.index('dgl.backend'))",
        HOME=str(tmp_path),
    )
    assert out.strip() == "True"
    assert not (tmp_path / ".dgl").exists()


@pytest.mark.parametrize(
    ("name", "given", "found"),
    [
        ("OMP_WAIT_POLICY", {}, "passive"),
        ("OMP_WAIT_POLICY", {"OMP_WAIT_POLICY": "active"}, "active"),
        ("THP_MEM_ALLOC_ENABLE", {}, "1"),
        ("THP_MEM_ALLOC_ENABLE", {"THP_MEM_ALLOC_ENABLE": "0"}, "0"),
    ],
)
def test_what_the_user_has_set_wins(name, given, found):
    environment = {k: v for k, v in os.environ.items() if k != name} | given
    program = f"import graphkit, os; print(os.environ['{name}'], os.environ['DGLBACKEND'])"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert out.stdout.split() == [found, "pytorch"]


@stood_in
@pytest.mark.parametrize("package", ["graphbolt", "sparse"])
def test_what_has_no_library_refuses_with_one_clear_sentence(package):
    import dgl

    part = getattr(dgl, package)
    with pytest.raises(AttributeError, match=rf"dgl\.{package}\.thing needs .* torch {torch.__version__[:4]}.*; use "):
        part.thing  # noqa: B018
    with pytest.raises(ImportError, match=rf"dgl\.{package}\.thing needs .*; use "):
        exec(f"from dgl.{package} import thing")
    with pytest.raises(_dgl.StandInError):
        exec(f"import dgl.{package}.impl.deep")
    assert not hasattr(part, "thing")


@stood_in
def test_adj_refuses_with_the_sentence_and_not_with_a_missing_file():
    import dgl

    with pytest.raises(ImportError, match=r"dgl\.sparse\.spmatrix needs .* use graphkit"):
        dgl.graph(([0], [1])).adj()


def _outside(x):
    return x


def test_pickle_and_inspect_pass_over_the_stand_ins():
    """They probe an attribute of every loaded module, and only an AttributeError lets them go on."""
    import inspect

    import dgl

    lost = type(_outside)(_outside.__code__, {}, "_outside")
    lost.__module__ = None
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(lost)
    assert inspect.getmodule(dgl.graph).__name__ == "dgl.convert"


def graphs():
    import dgl

    g = dgl.graph(([0, 1, 2], [1, 2, 0]))
    g.ndata["x"] = torch.arange(3.0)
    block = dgl.to_block(dgl.in_subgraph(g, [1]), [1])
    batch = dgl.batch([g, g])
    return g, block, batch


def test_pickle_and_deepcopy_keep_graphs_blocks_and_batches():
    for make in (lambda g: pickle.loads(pickle.dumps(g)), copy.deepcopy):
        for graph in graphs():
            again = make(graph)
            assert type(again) is type(graph)
            assert [x.tolist() for x in again.edges()] == [x.tolist() for x in graph.edges()]
            assert again.srcdata.keys() == graph.srcdata.keys()
        assert make(graphs()[2]).batch_num_nodes().tolist() == [3, 3]


def test_a_pickled_graph_opens_in_a_process_that_has_not_imported_graphkit(fresh_python, tmp_path):
    for number, graph in enumerate(graphs()):
        (tmp_path / f"{number}.pkl").write_bytes(pickle.dumps(graph))
    out = fresh_python(
        "import pickle, pathlib, sys\n"
        f"for f in sorted(pathlib.Path({str(tmp_path)!r}).glob('*.pkl')):\n"
        "    print(pickle.loads(f.read_bytes()).num_edges())"
    )
    assert out.split() == ["3", "1", "6"]


LOADER = """
import sys
import torch
{first}

class Graphs(torch.utils.data.Dataset):
    def __init__(self, graphs): self.graphs = graphs
    def __len__(self): return len(self.graphs)
    def __getitem__(self, i): return self.graphs[i]

class Collate:
    def __init__(self, graph): self.graph = graph
    def __call__(self, graphs):
        from graphkit.sampling import sample_block
        total = sum(g.num_edges() + float(g.ndata["x"].sum()) for g in graphs)
        seeds = torch.arange(len(graphs))
        return total, sample_block(self.graph, seeds, 2, seed=int(total))[2].tolist()

if __name__ == "__main__":
    import graphkit, dgl
    graphs = [dgl.graph(([0] * n, [1] * n)) for n in (1, 2, 3, 4)]
    for g in graphs: g.ndata["x"] = torch.ones(2)
    collate = Collate(dgl.graph((torch.arange(60) % 7, torch.arange(60) % 11)))
    for workers in (0, 2):
        context = sys.argv[1] if workers else None
        print(list(torch.utils.data.DataLoader(
            Graphs(graphs), 2, collate_fn=collate, num_workers=workers, multiprocessing_context=context)))
"""


@pytest.mark.parametrize(("context", "first"), [("fork", "import graphkit, dgl"), ("spawn", "")])
def test_data_loader_workers(fresh_python, tmp_path, context, first):
    """The spawned worker meets its first graph before anything of graphkit has been imported there."""
    program = tmp_path / "program.py"
    program.write_text(LOADER.format(first=first))
    alone, workers = fresh_python("", str(program), context).splitlines()
    assert alone == workers
    assert alone.startswith("[(7.0, [")


def test_the_start_up_hook_lets_any_program_import_dgl(tmp_path):
    """Programs that start with ``import dgl`` know nothing of graphkit."""
    site = tmp_path / "site"
    site.mkdir()
    path = doctor.write_hook(site)
    environment = {**os.environ, "PYTHONPATH": str(Path(graphkit.__file__).parents[1])}

    def run(program: str) -> subprocess.CompletedProcess:
        start = f"import site; site.addsitedir({str(site)!r}); "
        return subprocess.run(
            [sys.executable, "-c", start + program], capture_output=True, text=True, env=environment, cwd=tmp_path
        )

    done = run("import sys; print('torch' in sys.modules); import dgl; print(dgl.graph(([0], [1])).num_edges())")
    assert done.stdout.split() == ["False", "1"], done.stderr
    assert doctor.remove_hook(site)
    assert not path.exists()
    assert not doctor.remove_hook(site)
    if _dgl.stood_in():
        assert run("import dgl").returncode != 0


def test_the_start_up_hook_does_nothing_where_graphkit_is_gone(tmp_path):
    doctor.write_hook(tmp_path)
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import site; site.addsitedir({str(tmp_path)!r}); print('fine')"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (done.stdout.strip(), done.stderr) == ("fine", "")


def _fake_dgl(folder: Path, torch_version: str, datapipes: bool = True) -> str:
    (folder / "graphbolt").mkdir(parents=True)
    (folder / "graphbolt" / f"libgraphbolt_pytorch_{torch_version}.so").touch()
    (folder / "graphbolt" / "base.py").write_text("from torchdata.datapipes.iter import X\n" if datapipes else "")
    return str(folder)


def test_a_dgl_that_imports_by_itself_is_left_alone(tmp_path, monkeypatch):
    assert not _dgl.imports_by_itself(_fake_dgl(tmp_path / "a", "2.2.1", datapipes=False), "2.13.0")
    assert _dgl.imports_by_itself(_fake_dgl(tmp_path / "b", "2.2.1", datapipes=False), "2.2.1+cpu")
    has_datapipes = tmp_path / "path" / "torchdata"
    (has_datapipes / "datapipes").mkdir(parents=True)
    (has_datapipes / "__init__.py").touch()
    native = _fake_dgl(tmp_path / "c", "2.2.1")
    assert not _dgl.imports_by_itself(native, "2.2.1") or (DGL.parent / "torchdata" / "datapipes").is_dir()
    monkeypatch.syspath_prepend(str(has_datapipes.parent))
    assert _dgl.imports_by_itself(native, "2.2.1")


def test_packaging_stands_in_for_what_setuptools_dropped():
    from graphkit._dgl.hook import _Finder

    finder = _Finder()
    assert finder.find_spec("setuptools.extern.packaging") is None
    finder.active = finder.importing = True
    spec = finder.find_spec("setuptools.extern.packaging.version")
    if spec is not None:
        version = importlib.util.module_from_spec(spec).Version
        assert version("2.1") < version("2.10")
    finder.importing = False
    assert finder.find_spec("setuptools.extern.packaging") is None


def test_no_file_of_dgl_is_edited():
    """Each file still has the digest that its wheel recorded."""
    files = [file for file in importlib.metadata.files("dgl") if file.suffix == ".py" and file.hash]
    assert len(files) > 300
    for file in files:
        digest = hashlib.new(file.hash.mode, file.locate().read_bytes()).digest()
        assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value, file
