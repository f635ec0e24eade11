"""EpiGNN: Systematic Relational Reasoning With Epistemic Graph Neural Networks (ICLR 2025), 2407.17396."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graphkit import _dgl, ops
from graphkit.core.batch import Batch, Encoded, Pairs
from graphkit.core.check import check_choice, check_ids
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import Reported, register
from graphkit.core.spec import Spec
from graphkit.nn import Encoder

if TYPE_CHECKING:
    import dgl

#: Added to a probability before its logarithm, so that what is ruled out stays finite.
FLOOR = 1e-18
#: The distance of what cannot be reached.
FAR = 1e9


class Composition(nn.Module):
    """Compose states, vectors of probabilities, by a tensor: ``out_p = sum_ij A_pij x_i y_j``, for each facet.

    ``A`` sums to 1 over p, so probabilities stay probabilities. Index 0 is the identity on both sides: ``A_p0j = [p =
    j]``, ``A_pi0 = [p = i]``. The rest is learned. ``"balanced"``, as published, takes a softmax over j and
    divides by the sum over p: each result p has as much to give away for each i, which suits groups, where every result
    comes from exactly one j. ``"free"`` takes a softmax over p.

    Parameters
    ----------
    facets : int
        Vectors m of a state, each with a tensor of its own.
    size : int
        Entries n of each, at least 2.
    normalise : str
        ``"balanced"`` or ``"free"``.

    Raises
    ------
    GraphKitError
        For another ``normalise``.

    Examples
    --------
    >>> compose = Composition(2, 3)
    >>> first = torch.eye(3)[[0, 0]][None]
    >>> x = torch.rand(1, 2, 3).softmax(-1)
    >>> torch.equal(compose(first, x), x), torch.equal(compose(x, first), x)
    (True, True)
    """

    def __init__(self, facets: int, size: int, normalise: str = "balanced") -> None:
        super().__init__()
        check_choice("composition", normalise, ("balanced", "free"))
        self.size, self.normalise = size, normalise
        self.weight = nn.Parameter(torch.empty(facets, size, size - 1, size - 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the learned part uniformly from -1 to 1."""
        nn.init.uniform_(self.weight, -1.0, 1.0)

    def tensor(self) -> Tensor:
        """Return ``A``, ``[m, n, n, n]``, by facet, p, i and j."""
        if self.normalise == "free":
            learned = self.weight.softmax(1)
        else:
            learned = self.weight.softmax(-1)
            learned = learned / learned.sum(1, keepdim=True)
        eye = torch.eye(self.size, dtype=learned.dtype, device=learned.device).expand(len(learned), -1, -1)
        rest = torch.cat([eye[:, :, 1:].unsqueeze(-1), learned], -1)  # [m, n, n - 1, n]
        return torch.cat([eye.unsqueeze(2), rest], 2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the compositions ``[N, m, n]`` of states ``x [N, m, n]`` and ``y [N, m, n]``."""
        return torch.einsum("mpij,nmi,nmj->nmp", self.tensor(), x, y)


@register(
    "epignn",
    level="graph",
    title="Systematic Relational Reasoning With Epistemic Graph Neural Networks",
    arxiv="2407.17396",
    reported=[
        Reported("clutrr-234", "accuracy", 97.0, protocol="trained on 2 to 4 steps, roughly, for each of 5 to 10 steps")
    ],
    traits={"pair"},
    levels=("graph",),
    remove_targets=False,
    fit={"graph": {"lr": 0.01, "weight_decay": 0.0, "epochs": 100, "batch_size": 128}},
)
class EpiGNN(Encoder):
    """Which relation holds between two nodes of a typed graph, by composing the relations along the paths between them.

    A node's state says how it may be related to the head: m vectors of n probabilities. In each round the state of u is
    composed with the relation of the edge u to v, and what arrives at v is multiplied (or the minimum taken) and
    normalised; the head stays the identity. A second pass runs backward from the tail with the arguments exchanged. For
    each node on a shortest path both states are composed, and their product (or minimum) is compared with the states of
    all relations. Node features are not read; a graph's pair is ``batch.pairs`` (the graph field ``query`` of a
    dataset). Where the tail cannot be reached, the answer is undecided: see :meth:`reachable`.

    Sums of logarithms stand for products, so long ones do not vanish; an ``edge_weight`` is the power of a message.

    Parameters
    ----------
    in_feats : int
        Width of the features, which are not read.
    out_feats : int
        Classes.
    num_rels : int
        Relations of edges; the converse of an edge is another edge, which the data hold where it is to be walked.
    hidden : int, default 64
        Width m n of a state.
    facets : int, default 8
        m, a divisor of ``hidden``.
    rounds : int, default 9
    aggregate : str, default "mul"
        ``"mul"``, or ``"min"`` for disjunctive facts (RCC-8, interval algebra).
    score : str, default "cosine"
        ``"cosine"``: the logarithm of the cosine of answer and relation; ``"entropy"``: minus their cross-entropy.
    paths : str, default "shortest"
        ``"all"`` takes every node that the head reaches and that reaches the tail.
    composition : str, default "balanced"
        How :class:`Composition` is normalised; ``"free"`` where relations compose to no group, as those of kin.
    class_relations : sequence of int
        For each class the relation of that name, whose state it then shares, or -1; taken from the data by ``build``.

    Raises
    ------
    GraphKitError
        If ``facets`` does not divide ``hidden``, the batch has no types, or not one pair for each graph.

    Examples
    --------
    >>> import graphkit, dgl
    >>> from graphkit.core.batch import Pairs
    >>> pairs, etype = Pairs(torch.tensor([0]), torch.tensor([2])), torch.tensor([0, 1])
    >>> batch = Batch(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4), pairs=pairs, fields={"etype": etype})
    >>> EpiGNN(4, 5, num_rels=2)(batch).global_.shape
    torch.Size([1, 5])
    """

    def __init__(
        self, in_feats: int, out_feats: int, num_rels: int, hidden: int = 64, facets: int = 8, rounds: int = 9,
        aggregate: str = "mul", score: str = "cosine", paths: str = "shortest",
        composition: str = "balanced", class_relations: Sequence[int] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        check_choice("aggregate", aggregate, ("mul", "min"))
        check_choice("score", score, ("cosine", "entropy"))
        check_choice("paths", paths, ("shortest", "all"))
        if facets < 1 or hidden % facets or hidden // facets < 2:
            raise GraphKitError(f"facets={facets} does not divide hidden={hidden} into vectors of 2 or more")
        self.in_feats, self.out_width, self.num_rels, self.rounds = in_feats, out_feats, num_rels, rounds
        self.reduce, self.score, self.paths = {"mul": "sum", "min": "min"}[aggregate], score, paths
        self.shape = (facets, hidden // facets)
        rows = list(class_relations) or [-1] * out_feats
        if len(rows) != out_feats or max(rows) >= num_rels:
            raise GraphKitError(
                f"class_relations={rows} name no relation below {num_rels} for each of {out_feats} classes"
            )
        own = iter(range(num_rels, num_rels + out_feats))
        self.class_rows = [row if row >= 0 else next(own) for row in rows]
        self.relations = nn.Parameter(torch.empty(num_rels + sum(row < 0 for row in rows), *self.shape))
        self.compose = Composition(*self.shape, composition)
        nn.init.xavier_uniform_(self.relations)

    @classmethod
    def width_for(cls, spec: Spec, arguments: dict[str, Any]) -> int | None:
        """Return the number of classes."""
        return spec.out_feats

    @classmethod
    def spec_arguments(cls, spec: Spec) -> dict[str, Any]:
        """Return the number of relations, and which of them the classes are."""
        if not spec.num_relations:
            raise GraphKitError("epignn composes the relations of edges, but the data have no relations")
        return {"num_rels": spec.num_relations, "class_relations": spec.class_relations}

    def make_head(self, spec: Spec, **options: Any) -> nn.Module:
        """Return the head, which gives the comparison with each class."""
        return AnswerHead()

    def states(self) -> Tensor:
        """Return the state of each relation, of edges and then of classes that are none, ``[R', m, n]``."""
        return self.relations.softmax(-1)

    def forward(self, batch: Batch) -> Encoded:
        """Return the composed states of nodes, ``[N, m n]`` rows, and the scores of the classes, ``global_ [B, C]``."""
        node, answer = self.infer(batch)
        scores = compare(answer, self.states()[self.class_rows], self.score)
        scores = scores + 0 * batch.feat.sum()  # features count for nothing, which attributions can then say
        return Encoded(batch.graph, node.flatten(1), global_=scores)

    def infer(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return what each node says of the pair, ``[N, m, n]``, and what those on paths say, ``[B, m, n]``."""
        graph, etype, pairs = self._question(batch)
        states, tensor = self.states()[: self.num_rels], self.compose.tensor()
        onward = torch.einsum("mpij,rmj->rmpi", tensor, states)  # what a relation makes of a state before it
        backward = torch.einsum("mpij,rmi->rmpj", tensor, states)  # and of a state behind it
        ahead = self.walk(graph, pairs.src, onward[etype], batch.graph_weight)
        behind = self.walk(_dgl.reverse(graph), pairs.dst, backward[etype], batch.graph_weight)
        node = torch.einsum("mpij,nmi,nmj->nmp", tensor, ahead, behind)
        on = on_path(graph, pairs, self.rounds, self.paths).to(node.dtype)
        evidence = (node + FLOOR).log() * on[:, None, None]
        answer = ops.segment_reduce(evidence.flatten(1), ops.offsets(graph), self.reduce)
        return node, normalised(answer.view(-1, *self.shape))

    def walk(self, graph: dgl.DGLGraph, source: Tensor, matrices: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the states ``[N, m, n]`` after all rounds from ``source [B]``, by ``matrices [E, m, n, n]``."""
        start = matrices.new_full((graph.num_nodes(), *self.shape), 1 / self.shape[1])
        at_source = torch.zeros(graph.num_nodes(), 1, 1, dtype=torch.bool, device=start.device)
        at_source[source] = True
        identity = torch.zeros_like(start)
        identity[..., 0] = 1
        x = torch.where(at_source, identity, start)
        for _ in range(self.rounds):
            sent = ops.gather_src(graph, x.flatten(1)).view(-1, *self.shape)
            message = (matrices * sent.unsqueeze(-2)).sum(-1)
            message = (message + FLOOR).log()
            if weight is not None:
                message = message * weight[:, None, None]
            heard = ops.edge_reduce(graph, message.flatten(1), self.reduce).view(-1, *self.shape)
            new = torch.where(at_source, identity, normalised(heard))
            if torch.equal(new, x):
                break  # further rounds would change nothing
            x = new
        return x

    def reachable(self, batch: Batch) -> Tensor:
        """Return whether each graph's tail can be reached from its head in twice ``rounds`` edges, bool ``[B]``."""
        graph, _, pairs = self._question(batch)
        on = on_path(graph, pairs, self.rounds, self.paths).float()
        return ops.segment_reduce(on[:, None], ops.offsets(graph), "max")[:, 0] > 0

    def _question(self, batch: Batch) -> tuple[dgl.DGLGraph, Tensor, Pairs]:
        """Return graph, types and pairs, or raise if something is missing."""
        etype, pairs, graph = batch.fields.get("etype"), batch.pairs, batch.graph
        if etype is None or batch.blocks is not None:
            raise GraphKitError("epignn reads whole graphs with the relation of each edge (fields['etype'])")
        if pairs is None or len(pairs) != graph.batch_size:
            came = "none" if pairs is None else str(len(pairs))
            raise GraphKitError(
                f"epignn answers one pair for each of {graph.batch_size} graphs, but the batch has {came}; a dataset "
                "names them in the graph field 'query'"
            )
        check_ids("etype", etype, self.num_rels, graph.num_edges())
        return graph, etype, pairs


def normalised(log: Tensor) -> Tensor:
    """Return the probabilities of logarithms ``[..., n]``; torch's softmax takes three times as long for few entries.

    >>> normalised(torch.zeros(1, 2)).tolist()
    [[0.5, 0.5]]
    """
    part = (log - log.detach().amax(-1, keepdim=True)).exp()
    return part / part.sum(-1, keepdim=True)


def hops(graph: dgl.DGLGraph, source: Tensor, limit: int) -> Tensor:
    """Return how many edges lead from the nearest ``source`` to each node, ``[N]``, ``FAR`` beyond the limit.

    >>> import graphkit, dgl
    >>> hops(dgl.graph(([0, 1], [1, 2])), torch.tensor([1]), 5)[1:].tolist()
    [0.0, 1.0]
    """
    found = torch.full((graph.num_nodes(), 1), FAR, device=source.device)
    found[source] = 0
    for step in range(1, limit + 1):
        new = (ops.spmm(graph, (found < FAR).float()) > 0) & (found == FAR)
        if not new.any():
            break
        found[new] = step
    return found[:, 0]


def on_path(graph: dgl.DGLGraph, pairs: Pairs, limit: int, paths: str = "shortest") -> Tensor:
    """Return which nodes lie on a path from each graph's source to its destination, bool ``[N]``.

    Parameters
    ----------
    graph : dgl.DGLGraph
        B graphs.
    pairs : Pairs
        One for each of them.
    limit : int
        Most edges from either end.
    paths : str
        ``"shortest"`` or ``"all"``.

    Examples
    --------
    >>> import graphkit, dgl
    >>> pairs = Pairs(torch.tensor([0]), torch.tensor([2]))
    >>> on_path(dgl.graph(([0, 1, 0], [1, 2, 3])), pairs, 9).tolist()
    [True, True, True, False]
    """
    there = hops(graph, pairs.src, limit) + hops(_dgl.reverse(graph), pairs.dst, limit)
    if paths == "all":
        return there < FAR
    offsets = ops.offsets(graph)
    shortest = ops.segment_reduce(there[:, None], offsets, "min")[ops.segment_ids(offsets), 0]
    return (there == shortest) & (there < FAR)


def compare(answer: Tensor, relations: Tensor, score: str = "cosine") -> Tensor:
    """Return the scores ``[B, C]`` of answers ``[B, m, n]`` for relations ``[C, m, n]``.

    ``cosine``: ``log cos(answer, relation)``; ``entropy``: ``sum relation log answer``, the mean over facets.

    >>> compare(torch.eye(2)[:, None], torch.eye(2)[:, None], "entropy").argmax(1).tolist()
    [0, 1]
    """
    if score == "entropy":
        return (answer + 1e-12).log().flatten(1) @ relations.flatten(1).T / answer.shape[1]
    unit = [part.flatten(1) / part.flatten(1).norm(dim=1, keepdim=True) for part in (answer, relations)]
    return (unit[0] @ unit[1].T + FLOOR).log()


class AnswerHead(nn.Module):
    """Give what the encoder says of whole graphs, ``global_ [B, C]``.

    Examples
    --------
    >>> import graphkit, dgl
    >>> AnswerHead()(Encoded(dgl.graph(([0], [1])), torch.ones(2, 1), global_=torch.ones(1, 3))).shape
    torch.Size([1, 3])
    """

    def forward(self, enc: Encoded, batch: Batch | None = None) -> Tensor:
        """Return ``[B, C]``."""
        assert enc.global_ is not None
        return enc.global_
