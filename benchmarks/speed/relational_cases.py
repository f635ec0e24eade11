"""What relational.py times: graphs with relations in the forms that the libraries read, and the contenders on them."""

from __future__ import annotations

from collections.abc import Callable

import dgl
import dgl.nn as dnn
import torch
import torch_geometric.nn as pyg
from torch import Tensor, nn

import graphkit
from graphkit import nn as gk

#: No process of the suite may ask for more than this; a layer that does is a row that says so.
MEMORY_LIMIT = 16 * 2**30
WIDTH, HEADS, BASES, BLOCKS = 64, 8, 8, 8
PEERS = (
    "Edges are sorted by relation and nodes by type, as DGL's presorted form wants them. DGL: RelGraphConv (its norm "
    "given ready-made), HGTConv, and for R-GAT, which dgl.nn has not, HeteroGraphConv of one GATConv for each relation "
    "(a softmax within each relation). PyG: FastRGCNConv, RGATConv, HGTConv with its dictionaries; PyG loop: RGCNConv. "
    f"R-GCN basis has {BASES} bases, bdd {BLOCKS} blocks, attention {HEADS} heads of {WIDTH // HEADS}; HGT's relations "
    "are told apart by the types at their ends."
)
#: How many nodes of each type, and edges, the random graph has, and relations, whose sizes fall as 1 / rank.
TYPES, EDGES, RELS = (20_000, 15_000, 10_000, 5_000), 1_000_000, 50


class Inputs:
    """A typed graph: nodes sorted by type, edges by relation, features, and what a peer is owed ready-made."""

    def __init__(self, src: Tensor, dst: Tensor, etype: Tensor, ntype: Tensor) -> None:
        place, order = ntype.argsort(stable=True).argsort(), etype.argsort(stable=True)
        self.src, self.dst, self.etype = place[src][order], place[dst][order], etype[order]
        self.ntype, nodes = ntype.sort().values, len(ntype)
        self.graph = dgl.graph((self.src, self.dst), num_nodes=nodes)
        self.graph.create_formats_()
        self.num_rels, self.num_ntypes = int(etype.max()) + 1, int(ntype.max()) + 1
        # Relations told apart by the types at their ends, in order; they stay sorted by relation.
        ends = (self.etype * self.num_ntypes + self.ntype[self.src]) * self.num_ntypes + self.ntype[self.dst]
        self.kinds, self.kind = torch.unique(ends, return_inverse=True)  # HGT's relations
        torch.manual_seed(0)
        self.x = torch.randn(nodes, WIDTH, requires_grad=True)
        _, pair, count = torch.unique(self.dst * self.num_rels + self.etype, return_inverse=True, return_counts=True)
        self.norm = count.float().reciprocal()[pair][:, None]

    def about(self) -> dict[str, object]:
        """Sizes, which say how much is to be saved."""
        n, sizes = self.graph.num_nodes(), self.etype.bincount()
        pairs = {end: len(torch.unique(self.etype * n + x)) for end, x in (("src", self.src), ("dst", self.dst))}
        return {
            "nodes": n, "node_types": self.num_ntypes, "edges": len(self.src), "relations": self.num_rels,
            "relations_of_HGT": len(self.kinds), "largest_relation": int(sizes.max()),
            "median_relation": int(sizes.median()), "source_pairs": pairs["src"], "destination_pairs": pairs["dst"],
        }  # fmt: skip

    @property
    def edge_index(self) -> Tensor:
        """PyG's form."""
        return torch.stack([self.src, self.dst])

    def by_kind(self) -> dict[tuple[str, str, str], tuple[Tensor, Tensor]]:
        """Edges of each of HGT's relations, numbered within the types at their ends."""
        first = torch.searchsorted(self.ntype, torch.arange(self.num_ntypes))
        found = {}
        cuts = self.kind.bincount().tolist()
        for i, (src, dst) in enumerate(zip(self.src.split(cuts), self.dst.split(cuts), strict=True)):
            s, d = self.ntype[src[0]], self.ntype[dst[0]]
            found[(f"t{int(s)}", f"r{i}", f"t{int(d)}")] = src - first[s], dst - first[d]
        return found

    def split(self) -> dict[str, Tensor]:
        """Features by node type."""
        sizes = self.ntype.bincount(minlength=self.num_ntypes).tolist()
        return {f"t{i}": part for i, part in enumerate(self.x.split(sizes))}


def inputs_of(name: str) -> Inputs:
    """The graph of a name; an RDF graph is joined with the inverses of its relations."""
    if name == "synthetic":
        return synthetic(TYPES, EDGES, RELS)
    graph = graphkit.load(name)[0]
    src, dst = graph.edges(order="eid")
    etype = graph.edata["etype"]
    both = torch.cat([etype, etype + int(etype.max()) + 1])
    return Inputs(torch.cat([src, dst]), torch.cat([dst, src]), both, graph.ndata["ntype"])


def synthetic(types: tuple[int, ...], edges: int, rels: int) -> Inputs:
    """Relations between random types, of sizes that fall as 1 / rank; ends are uniform."""
    draw = torch.Generator().manual_seed(0)
    share = 1 / torch.arange(1, rels + 1)
    etype = torch.multinomial(share, edges, replacement=True, generator=draw)
    sizes = torch.tensor(types)
    first = sizes.cumsum(0) - sizes
    ends = []
    for kind in torch.randint(len(types), (2, rels), generator=draw):
        row = (torch.rand(edges, generator=draw) * sizes[kind[etype]]).long()
        ends.append(first[kind[etype]] + row)
    return Inputs(*ends, etype, torch.repeat_interleave(torch.arange(len(types)), sizes))


def tiny() -> Inputs:
    """Enough for the libraries to load what they load once."""
    return synthetic((20, 10), 200, 3)


def step(module: nn.Module, i: Inputs, call: Callable[[], object]) -> Callable[[], None]:
    """A closure that runs a layer forwards and backwards, for the gradients of the features and parameters."""
    wanted = [i.x, *module.parameters()]

    def run() -> None:
        out = call()
        out = out if isinstance(out, Tensor) else torch.cat([part for part in out.values() if part is not None])
        torch.autograd.grad(out.sum(), wanted, allow_unused=True)

    return run


def ours(layer: nn.Module, i: Inputs) -> Callable[[], None]:
    """GraphKit on the relations as they are."""
    return step(layer, i, lambda: layer(i.graph, i.x, etype=i.etype))


def hgt(i: Inputs) -> Callable[[], None]:
    """GraphKit's HGT."""
    layer = gk.HGTConv(WIDTH, WIDTH, len(i.kinds), i.num_ntypes, HEADS, activation="none")
    return step(layer, i, lambda: layer(i.graph, i.x, etype=i.kind, ntype=i.ntype))


def dgl_rgcn(i: Inputs, *regularizer: object) -> Callable[[], None]:
    """DGL's R-GCN on presorted edges."""
    layer = dnn.RelGraphConv(WIDTH, WIDTH, i.num_rels, *regularizer)
    return step(layer, i, lambda: layer(i.graph, i.x, i.etype, i.norm, presorted=True))


def dgl_hgt(i: Inputs) -> Callable[[], None]:
    """DGL's HGT on presorted nodes and edges."""
    layer = dnn.HGTConv(WIDTH, WIDTH // HEADS, HEADS, i.num_ntypes, len(i.kinds)).eval()
    return step(layer, i, lambda: layer(i.graph, i.x, i.ntype, i.kind, presorted=True))


def dgl_rgat(i: Inputs) -> Callable[[], None]:
    """A GATConv for each relation of a heterograph."""
    sizes = {name: len(part) for name, part in i.split().items()}
    graph = dgl.heterograph(i.by_kind(), sizes)
    graph.create_formats_()
    heads = WIDTH // HEADS, HEADS
    layer = dnn.HeteroGraphConv({r: dnn.GATConv(WIDTH, *heads, allow_zero_in_degree=True) for _, r, _ in i.by_kind()})
    return step(layer, i, lambda: layer(graph, i.split()))


def pyg_rgcn(i: Inputs, make: type, **form: int) -> Callable[[], None]:
    """PyG's R-GCN, fast or by a loop over relations."""
    layer, index = make(WIDTH, WIDTH, i.num_rels, **form, is_sorted=True), i.edge_index
    return step(layer, i, lambda: layer(i.x, index, i.etype))


def pyg_rgat(i: Inputs) -> Callable[[], None]:
    """PyG's R-GAT."""
    layer, index = pyg.RGATConv(WIDTH, WIDTH // HEADS, i.num_rels, heads=HEADS), i.edge_index
    return step(layer, i, lambda: layer(i.x, index, i.etype))


def pyg_hgt(i: Inputs) -> Callable[[], None]:
    """PyG's HGT, whose forward takes and gives dictionaries."""
    edges = {kind: torch.stack(ends) for kind, ends in i.by_kind().items()}
    layer = pyg.HGTConv(WIDTH, WIDTH, (list(i.split()), list(edges)), HEADS)
    return step(layer, i, lambda: layer(i.split(), edges))


def _rgcn(regularizer: str | None, bases: int | None, **form: int) -> dict[str, Callable]:
    return {
        "graphkit": lambda i: ours(gk.RelGraphConv(WIDTH, WIDTH, i.num_rels, regularizer, bases), i),
        "dgl": lambda i: dgl_rgcn(i, regularizer, bases),
        "pyg": lambda i: pyg_rgcn(i, pyg.FastRGCNConv, **form),
        "pyg-loop": lambda i: pyg_rgcn(i, pyg.RGCNConv, **form),
    }


CONTENDERS: dict[str, dict[str, Callable[[Inputs], Callable[[], None]]]] = {
    "R-GCN": _rgcn(None, None),
    "R-GCN basis": _rgcn("basis", BASES, num_bases=BASES),
    "R-GCN bdd": _rgcn("bdd", BLOCKS, num_blocks=BLOCKS),
    "R-GAT": {
        "graphkit": lambda i: ours(gk.RelGATConv(WIDTH, WIDTH, i.num_rels, HEADS), i),
        "dgl": dgl_rgat,
        "pyg": pyg_rgat,
    },
    "HGT": {"graphkit": hgt, "dgl": dgl_hgt, "pyg": pyg_hgt},
}
