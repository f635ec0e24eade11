"""One prediction, cut out of its graph so that it can be asked again with other edges, weights or features."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from graphkit.core.batch import Batch, Encoded, Output, Pairs
from graphkit.core.errors import GraphKitError, unknown
from graphkit.core.registry import find
from graphkit.explain.cutting import copied, inverse, subgraph
from graphkit.explain.neighbourhood import Neighbourhood, neighbourhood, tie_directions
from graphkit.explain.norms import check_norm, norms
from graphkit.explain.target import Reading, Target, check_range, read_answer

#: Numbers in one stacked forward pass of perturbed copies.
CHUNK = 4_000_000


class Question:
    """One prediction of a model, on the part of the graph that it is computed from.

    Made by :func:`ask`. Explainers read the working graph from it (``num_nodes``, ``src``, ``dst``, ``feat``) and call
    :meth:`rows` to have the model answer again under changes. Undirected edges share one *group*, so G numbers
    describe the edges that may matter.

    Attributes
    ----------
    model : nn.Module
        In eval mode while :meth:`open` holds.
    batch : Batch
        The working graph and its tensors.
    target : Target
        In ids of the whole graph.
    reading : Reading
        Which answer is explained.
    node_ids, edge_ids : Tensor
        Ids in the whole graph of the working nodes ``[n]`` and edges ``[m]``, int64.
    src, dst : Tensor
        The working edges, int64 ``[m]``.
    group : Tensor
        The group of each working edge, -1 for edges that no path joins to the target, int64 ``[m]``.
    num_groups : int
    hops : Tensor
        Hops of each working node to the target; -1 outside its computation graph, int64 ``[n]``.
    reference : Tensor
        The model's output for the target on the whole graph, ``[1, C]``.
    whole_size : tuple of int
        Nodes and edges of the whole graph.
    source : Source or None
        The model's data, where :func:`graphkit.explain.explain` asks: explainers that learn draw other questions.
    node_classes : Tensor
        For node targets the model's class of each working node, else -1, int64 ``[n]``.
    """

    def __init__(self, model: nn.Module, batch: Batch, target: Target, roots: Tensor, norm: str = "frozen") -> None:
        self.model = model
        self.batch = batch
        self.target = target
        self.roots = roots
        self.norm = norm
        self.src, self.dst = batch.graph.edges(order="eid")
        self.num_nodes = batch.graph.num_nodes()
        self.num_edges = len(self.src)
        self.node_ids = torch.arange(self.num_nodes)
        self.edge_ids = torch.arange(self.num_edges)
        self.group = torch.full((self.num_edges,), -1)
        self.num_groups = 0
        self.hops = torch.full((self.num_nodes,), -1)
        self.reading = Reading("multiclass")
        self.reference = torch.empty(1, 0)
        self.node_classes = torch.full((self.num_nodes,), -1)
        self.whole_size = (self.num_nodes, self.num_edges)
        self.source: Any = None

    @property
    def device(self) -> torch.device:
        """Where the tensors of the batch are."""
        return self.batch.feat.device

    @property
    def has_features(self) -> bool:
        """Whether nodes have features of their own that can be masked."""
        return self.batch.feat.dim() == 2 and self.batch.feat.shape[1] > 0

    @property
    def directed(self) -> bool:
        """Whether each edge that can matter has a group of its own."""
        return int((self.group >= 0).sum()) == self.num_groups

    @property
    def near(self) -> int:
        """Nodes of the computation graph."""
        return int((self.hops >= 0).sum())

    @property
    def base_weight(self) -> Tensor:
        """Return the graph's own edge weights ``[m]``, ones where it has none."""
        if self.batch.edge_weight is not None:
            return self.batch.edge_weight  # type: ignore[return-value]  # no blocks here
        return torch.ones(self.num_edges, dtype=self.batch.feat.dtype, device=self.device)

    @contextmanager
    def open(self) -> Iterator[Question]:
        """Hold the model in eval mode, its norms as asked for, and put both back afterwards."""
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        try:
            with norms(self.model, self.norm):
                yield self
        finally:
            for module, mode in modes:
                module.training = mode

    def weights(self, values: Tensor) -> Tensor:
        """Return edge weights ``[..., m]`` from one factor for each group ``[..., G]``; other edges keep theirs."""
        padded = torch.cat([values, values.new_ones(*values.shape[:-1], 1)], dim=-1)  # group -1 reads the appended 1
        return self.base_weight * padded[..., self.group.to(values.device)]

    def group_keep(self, kept: Tensor) -> Tensor:
        """Return which working edges stay, bool ``[S, m]``, from which groups stay ``[S, G]``; all others stay."""
        padded = torch.cat([kept, kept.new_ones(len(kept), 1)], dim=1)
        return padded[:, self.group]

    def rows(self, weight: Tensor | None = None, feat: Tensor | None = None, keep: Tensor | None = None) -> Tensor:
        """Let the model answer on S changed copies of the working graph.

        Parameters
        ----------
        weight : Tensor, optional
            Edge weights, ``[S, m]``.
        feat : Tensor, optional
            Node features, ``[S, n, D]``.
        keep : Tensor, optional
            Which edges stay; the others are really removed, bool ``[S, m]``.

        Returns
        -------
        Tensor
            ``[S, C]``.
        """
        copies = max([1, *(len(x) for x in (weight, feat, keep) if x is not None)])
        size = self.num_nodes * max(64, self.batch.feat[0].numel() if self.num_nodes else 1) + 64 * self.num_edges
        chunk = max(1, CHUNK // max(1, size))
        parts = []
        for start in range(0, copies, chunk):
            cut = slice(start, start + chunk)
            parts.append(self._answer(*(None if x is None else x[cut] for x in (weight, feat, keep))))
        return torch.cat(parts)

    def _answer(self, weight: Tensor | None, feat: Tensor | None, keep: Tensor | None) -> Tensor:
        copies = max([1, *(len(x) for x in (weight, feat, keep) if x is not None)])
        batch = self.batch
        if copies > 1 or keep is not None:
            batch = copied(batch, copies, keep)
        if weight is not None:
            flat = weight if keep is None else weight[keep]
            batch = batch.replace(edge_weight=flat.reshape(-1))
        if feat is not None:
            batch = batch.replace(feat=feat.flatten(0, 1))
        return predict(self.model, batch, self.target, self._copied_roots(copies, keep), copies)

    def _copied_roots(self, copies: int, keep: Tensor | None) -> Tensor:
        shift = torch.arange(copies)[:, None]
        if self.target.kind != "edge":
            return self.roots + shift * self.num_nodes
        if keep is None:
            return self.roots + shift * self.num_edges
        rank = keep.reshape(-1).cumsum(0) - 1
        return rank[(self.roots + shift * self.num_edges).reshape(-1)].reshape(copies, -1)

    def probability(self, **changes: Tensor) -> Tensor:
        """Return the probability of the explained answer under changes (see :meth:`rows`), ``[S]``, no gradient."""
        with self.open(), torch.no_grad():
            return self.reading.probability(self.rows(**changes))

    def check_edges_matter(self) -> None:
        """Raise if no edge weight moves the answer: then there is nothing that edge scores could mean.

        Raises
        ------
        GraphKitError
        """
        if self.num_groups == 0:
            return
        probe = torch.ones(1, self.num_groups, dtype=self.batch.feat.dtype, device=self.device).mul_(0.75)
        probe.requires_grad_()
        rows = self.rows(weight=self.weights(probe))
        grad = None
        if rows.requires_grad:
            # Unequal factors: a sum of log-probabilities, or of an answer and its negative, might not move at all.
            mixed = rows * torch.linspace(1, 2, rows.shape[-1], dtype=rows.dtype, device=rows.device)
            (grad,) = torch.autograd.grad(mixed.sum(), probe, allow_unused=True)
        if grad is None or not bool(grad.ne(0).any()):
            raise GraphKitError(self._why_no_gradient(probe))

    def _why_no_gradient(self, probe: Tensor) -> str:
        """Return one sentence: edges do not matter at all, or they do and the model gives no gradient for them."""
        name = getattr(self.model, "name", "") or type(self.model).__name__
        with torch.no_grad():
            ends = [self.rows(weight=self.weights(torch.full_like(probe, share))) for share in (0.0, 0.5)]
        if any(not torch.allclose(rows, self.reference, rtol=1e-5, atol=1e-7) for rows in ends):
            return (
                f"the answer of {name} for {self.target} changes with edge weights, but gives no gradient for them, "
                "which this explainer needs; use one that needs none, such as occlusion, counterfactual or subgraphx"
            )
        return (
            f"the answer of {name} for {self.target} does not change with any edge weight, so its edges cannot be "
            "explained; the model may ignore edge_weight"
        )


def predict(model: nn.Module, batch: Batch, target: Target, roots: Tensor, copies: int = 1) -> Tensor:
    """Return the model's output for the target's rows, ``[copies, C]``.

    Parameters
    ----------
    model : nn.Module
        A Model, or any module that maps a Batch to ``Output``, ``Encoded`` or rows.
    batch : Batch
    target : Target
    roots : Tensor
        Row numbers of the target in each copy, int64 ``[copies, 1 or 2]``; empty for graphs.
    copies : int
        -1 for all rows that the model gives.
    """
    roots = roots.reshape(max(copies, 1), -1).to(batch.feat.device)
    if target.kind == "node":
        batch = batch.replace(targets=roots[:, 0])
    elif target.kind == "pair":
        rel = None if target.rel is None else torch.full((copies,), target.rel, device=batch.feat.device)
        batch = batch.replace(pairs=Pairs(roots[:, 0], roots[:, 1], rel))
    out = model(batch.replace(label=None))
    rows = out.pred if isinstance(out, Output) else out.node if isinstance(out, Encoded) else out
    rows = rows.reshape(len(rows), -1)
    if copies == -1:
        return rows
    if target.kind in {"node", "edge"} and len(rows) != copies:
        rows = rows[roots[:, 0]]
    if len(rows) != copies:
        raise GraphKitError(f"the model gave {len(rows)} rows for {target}; expected {copies}: is it a model for that?")
    return rows


def check_weights_honoured(model: nn.Module) -> None:
    """Raise if the model's registration declines ``edge_weight``.

    Raises
    ------
    GraphKitError
        With the reason that the registration gives.
    """
    name = getattr(model, "name", "")
    reason = find("model", name).declines.get("edge_weight") if name else None
    if reason and getattr(model, "needs_graph", True):
        raise GraphKitError(f"model {name!r} takes no edge weights ({reason}), so its edges cannot be explained")


def ask(
    model: nn.Module,
    batch: Batch,
    target: Target,
    *,
    labels: Tensor | None = None,
    reverse_id: Tensor | None = None,
    mode: str | None = None,
    target_class: int | None = None,
    column: int = 0,
    norm: str = "frozen",
    scope: str = "auto",
    remove_target: bool | None = None,
    cache: dict[str, Any] | None = None,
) -> Question:
    """Cut the computation graph of one prediction out of a batch, so that the prediction stays exactly what it was.

    The k-hop neighbourhood (k message-passing layers) is cut out with all neighbours of its nodes, so that degrees are
    those of the whole graph, and the model is run on both: where the answers differ (a model that looks farther than
    its layers, or at the whole graph), the whole graph is kept.

    Parameters
    ----------
    model : nn.Module
    batch : Batch
        The whole graph.
    target : Target
    labels : Tensor, optional
        All labels of the dataset, to judge how outputs are read.
    reverse_id : Tensor, optional
        Twin of each edge, int64 ``[E]``.
    mode : str, optional
        ``"multiclass"``, ``"binary"`` or ``"regression"``; judged by labels and width when None.
    target_class : int, optional
        The class to explain; the model's own answer when None.
    column : int
        The column of an output that answers several yes-or-no questions.
    norm : str
        ``"frozen"``: degree norms of the unmasked graph. ``"recompute"``: of the masked weights.
    scope : str
        ``"auto"``, or ``"full"`` to keep the whole graph and let every edge matter.
    remove_target : bool, optional
        Take the pair's own edge out of the graph first; when None, what the system's registration says.
    cache : dict, optional
        Kept by a caller who asks many questions of one model about one batch: what they share is computed once.

    Returns
    -------
    Question

    Raises
    ------
    GraphKitError
        For ids out of range, a batch of blocks, or options that the model does not support.
    """
    check_norm(model, norm)
    if scope not in {"auto", "full"}:
        raise unknown("scope", scope, ["auto", "full"])
    if batch.blocks is not None:
        raise GraphKitError("the batch holds sampled blocks; explain needs the whole graph")
    first = next(model.parameters(), None)
    batch = batch.to(first.device if first is not None else "cpu").replace(targets=None)
    if target.kind != "graph":  # of a graph, the pair that it asks about is part of the question
        batch = batch.replace(pairs=None)
    _check_ids(batch, target)
    whole_size = (batch.graph.num_nodes(), batch.graph.num_edges())
    edge_ids = torch.arange(whole_size[1])
    if target.kind == "pair" and _removes_target(model, remove_target):
        src, dst = batch.graph.edges(order="eid")
        u, v = target.ids
        edge_ids = ~(((src == u) & (dst == v)) | ((src == v) & (dst == u)))
        edge_ids = edge_ids.nonzero()[:, 0]
        if reverse_id is not None:
            reverse_id = torch.where(reverse_id >= 0, inverse(edge_ids, len(src))[reverse_id.clamp(min=0)], reverse_id)
            reverse_id = reverse_id[edge_ids]
        batch = subgraph(batch, torch.arange(batch.graph.num_nodes()), edge_ids)
    cache = {} if cache is None or len(edge_ids) != whole_size[1] else cache  # what is shared belongs to all edges
    question = _cut(model, batch, target, reverse_id, norm, scope, cache)
    question.edge_ids, question.whole_size = edge_ids[question.edge_ids], whole_size
    question.reading = read_answer(target, question.reference, labels, mode, target_class, column)
    if target.kind == "node":
        question.node_classes = _classes(question, batch, cache)
    return question


def _all_rows(question: Question, batch: Batch, cache: dict[str, Any]) -> Tensor:
    """Return the model's output for all nodes of the whole graph, computed once for all questions."""
    if "rows" not in cache:
        with question.open(), torch.no_grad():
            cache["rows"] = predict(question.model, batch, Target("graph", (0,)), question.roots, -1)
    return cache["rows"]


def _classes(question: Question, batch: Batch, cache: dict[str, Any]) -> Tensor:
    """Return the model's class of each working node, computed on the whole graph."""
    rows = _all_rows(question, batch, cache)
    if len(rows) != batch.graph.num_nodes():
        return question.node_classes
    return question.reading.answer(rows).cpu()[question.node_ids]


def _removes_target(model: nn.Module, asked: bool | None) -> bool:
    if asked is not None:
        return asked
    name = getattr(model, "name", "")
    return bool(name) and find("model", name).options.get("remove_targets") is True


def _check_ids(batch: Batch, target: Target) -> None:
    n, m = batch.graph.num_nodes(), batch.graph.num_edges()
    if target.kind in {"node", "pair"}:
        for end in target.ids:
            check_range("node", end, n, f"graph of {n} nodes")
    if target.kind == "edge":
        check_range("edge", target.ids[0], m, f"graph of {m} edges")


def _cut(
    model: nn.Module, batch: Batch, target: Target, reverse_id: Tensor | None, norm: str, scope: str,
    cache: dict[str, Any],
) -> Question:  # fmt: skip
    src, dst = batch.graph.edges(order="eid")
    n = batch.graph.num_nodes()
    roots = torch.tensor(target.ids if target.kind != "graph" else (), dtype=torch.int64)
    seeds = torch.stack([src[roots], dst[roots]]).reshape(-1) if target.kind == "edge" else roots
    hops = None if target.kind == "graph" or scope == "full" else getattr(model, "num_layers", None)
    if hops is not None and target.kind == "pair":
        hops += getattr(model, "structure_depth", 0)  # the head reads the edges around the pair itself
    part = neighbourhood(src, dst, n, seeds, hops)
    if not getattr(model, "needs_graph", True):
        part = part._replace(edges=part.edges[:0])
    if "ties" not in cache:
        cache["ties"] = tie_directions(src, dst, n, reverse_id, typed="etype" in batch.fields)
    ties = cache["ties"]
    whole = Question(model, batch, target, roots, norm)
    whole.reference = _reference(whole, cache)
    question = _inside(whole, part, model)
    if question is None and hops is not None:  # the model looks farther than its layers: every edge may matter
        part = neighbourhood(src, dst, n, seeds, None)
    question = question or whole
    return _number_groups(question, part, ties)


def _reference(whole: Question, cache: dict[str, Any]) -> Tensor:
    """Return the answer on the whole graph; many nodes of one graph are answered together."""
    if "asked" in cache and whole.target.kind == "node":
        rows = _all_rows(whole, whole.batch, cache)
        if len(rows) == whole.num_nodes:
            return rows[whole.roots]
    cache["asked"] = True
    with whole.open(), torch.no_grad():
        return whole.rows()


def _inside(whole: Question, part: Neighbourhood, model: nn.Module) -> Question | None:
    """Return the question on the induced subgraph; the whole where that is no smaller; None where answers differ."""
    if len(part.closure) == whole.num_nodes:
        return whole
    inside = torch.zeros(whole.num_nodes, dtype=torch.bool)
    inside[part.closure] = True
    edges = (inside[whole.src] & inside[whole.dst]).nonzero()[:, 0]
    kind = whole.target.kind
    roots = torch.searchsorted(edges if kind == "edge" else part.closure, whole.roots)
    question = Question(model, subgraph(whole.batch, part.closure, edges), whole.target, roots, whole.norm)
    question.node_ids, question.edge_ids, question.reference = part.closure, edges, whole.reference
    with question.open(), torch.no_grad():
        rows = question.rows()
    return question if torch.allclose(rows, whole.reference, rtol=1e-4, atol=1e-5) else None


def _number_groups(question: Question, part: Neighbourhood, ties: Tensor) -> Question:
    """Set the groups and hops of a question from the edges that may matter and the ties between directions."""
    used = torch.zeros(int(ties.max()) + 1 if len(ties) else 0, dtype=torch.bool)
    used[ties[part.edges]] = True
    ties = ties[question.edge_ids]
    matters = used[ties] & (question.src != question.dst)
    numbers, group = torch.unique(ties[matters], return_inverse=True)
    question.group[matters] = group
    question.num_groups = len(numbers)
    local = torch.searchsorted(question.node_ids, part.nodes)
    question.hops[local] = part.hops
    return question
