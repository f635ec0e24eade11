"""The one call: from a run or model, data and a target to an Explanation."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphkit.core.batch import Batch
from graphkit.core.errors import GraphKitError, unknown
from graphkit.core.registry import find
from graphkit.explain.attribution import Attribution
from graphkit.explain.explanation import Explanation, Prediction
from graphkit.explain.naming import Names, names_of
from graphkit.explain.question import Question, ask, check_weights_honoured
from graphkit.explain.target import Target, check_range, parse_target

#: Options of :func:`explain` that belong to the question and not to the method.
_ASK = ("mode", "target_class", "column", "norm", "scope", "remove_target")


def explain(
    run_or_model: Any,
    data: Any = None,
    *,
    node: int | None = None,
    pair: tuple[int, int] | None = None,
    edge: int | None = None,
    graph: int | None = None,
    rel: int | None = None,
    method: str = "gnnexplainer",
    seed: int = 0,
    class_names: Any = None,
    feature_names: Any = None,
    node_names: Any = None,
    **options: Any,
) -> Explanation:
    """Explain one prediction of a trained model.

    Parameters
    ----------
    run_or_model : Run, path of a run folder, or nn.Module
        A module is a ``Model`` or maps a Batch to rows.
    data : Dataset, dgl.DGLGraph or Batch, optional
        The run's own data when None.
    node, pair, edge, graph : optional
        Exactly one: a node's id, two node ids, an edge's id (its two ends as a pair, unless the model labels edges),
        or a graph's number in the dataset.
    rel : int, optional
        Relation of the pair, in knowledge graphs.
    method : str, default "gnnexplainer"
        A registered explainer: ``gnnexplainer``, ``saliency``, ``integrated-gradients``.
    seed : int, default 0
    class_names, feature_names, node_names : sequence of str, optional
        For tables and pictures; the dataset's when None.
    **options
        Of the method (``epochs``, ``lr``, ``steps``, ...) and of the question (``target_class``, ``norm``, ``mode``,
        ``column``, ``scope``, ``remove_target``; see :func:`graphkit.explain.ask`).

    Returns
    -------
    Explanation

    Raises
    ------
    GraphKitError
        If not exactly one target is given, an id is out of range, the method or an option is unknown, or the model
        takes no edge weights.

    Examples
    --------
    >>> import graphkit as gk
    >>> data = gk.load("karate")
    >>> gk.explain(gk.models.build("gcn", data), data, node=3, epochs=2).target
    Target(kind='node', ids=(3,), rel=None)
    """
    target = parse_target(node, pair, edge, graph, rel)
    explainer, asked = _explainer(method, options)
    model, data = _model_and_data(run_or_model, data)
    check_weights_honoured(model)
    batch, source = batch_for(data, target)
    if target.kind == "edge" and not _labels_edges(model):
        check_range("edge", target.ids[0], batch.graph.num_edges(), f"graph of {batch.graph.num_edges()} edges")
        ends = batch.graph.find_edges(torch.tensor(target.ids))
        etype = batch.fields.get("etype")
        target = Target("pair", tuple(int(end) for end in ends), None if etype is None else int(etype[target.ids[0]]))
    labels = _labels(data, target)
    question = ask(model, batch, target, labels=labels, reverse_id=_edge_field(source, "reverse_id"), **asked)
    with question.open():
        found = explainer(question, seed)
    names, kinds = names_of(data, source, target, class_names, feature_names, node_names)
    info = {"seed": seed, "options": _plain({**dataclasses.asdict(explainer), **asked}), **found.info}
    return _assemble(method, question, found, labels, kinds, info, names, source)


def _explainer(method: str, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Make the explainer from the options that are its own; return the options of the question too."""
    entry = find("explainer", method)
    own = [f.name for f in dataclasses.fields(entry.obj)]
    for name in options:
        if name not in own and name not in _ASK:
            raise unknown(f"option of {entry.name}", name, [*own, *_ASK])
    mine = {name: value for name, value in options.items() if name in own}
    return entry.obj(**mine), {name: value for name, value in options.items() if name in _ASK}


def _model_and_data(run_or_model: Any, data: Any) -> tuple[nn.Module, Any]:
    if isinstance(run_or_model, str | Path):
        from graphkit.fit import Run

        run_or_model = Run.load(run_or_model)
    if isinstance(run_or_model, nn.Module):
        if data is None:
            raise GraphKitError("a model was given without data; pass the dataset, graph or batch to explain it on")
        return run_or_model, data
    model = getattr(run_or_model, "model", None)
    if not isinstance(model, nn.Module):
        raise GraphKitError(f"cannot explain a {type(run_or_model).__name__}; expected a Run, its folder, or a model")
    return model, data if data is not None else run_or_model.data


def _labels_edges(model: nn.Module) -> bool:
    return type(getattr(model, "head", None)).__name__ == "EdgeHead"


def batch_for(data: Any, target: Target) -> tuple[Batch, Any]:
    """Return the batch of the graph that the target is in, and the DGLGraph that has its fields (None for a Batch).

    Parameters
    ----------
    data : Dataset, dgl.DGLGraph or Batch
    target : Target

    Raises
    ------
    GraphKitError
        If the target does not go with the data.
    """
    from graphkit.sampling import GraphLoader, full_batch

    if isinstance(data, Batch):
        return data, None
    task = getattr(data, "task", None)
    if target.kind == "graph":
        if task != "graph":
            if target.ids[0] != 0 or task is not None:
                raise GraphKitError(f"graph={target.ids[0]} needs a set of graphs; use node= or pair= for one graph")
            return full_batch(data), data
        number = target.ids[0]
        check_range("graph", number, len(data), f"set of {len(data)} graphs")
        batch = next(iter(GraphLoader(data, torch.tensor([number]), batch_size=1, shuffle=False)))
        return batch, data[number]
    if task == "graph":
        raise GraphKitError(f"{data.name} is a set of graphs; use graph= with a number from 0 to {len(data) - 1}")
    return full_batch(data), getattr(data, "graph", data)


def _edge_field(source: Any, name: str) -> Tensor | None:
    return None if source is None else source.edata.get(name)


def _labels(data: Any, target: Target) -> Tensor | None:
    labels = getattr(data, "labels", None)
    if labels is None and hasattr(data, "ndata") and target.kind == "node":
        labels = data.ndata.get("label")
    return labels if isinstance(labels, Tensor) and getattr(data, "task", "node") in {"node", "graph"} else None


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    return {k: v.tolist() if isinstance(v, Tensor) else v for k, v in options.items()}


def _assemble(
    method: str,
    question: Question,
    found: Attribution,
    labels: Tensor | None,
    kinds: Tensor | None,
    info: dict[str, Any],
    names: Names,
    source: Any,
) -> Explanation:
    """Spread the scores of the working graph over the whole graph."""
    num_nodes, num_edges = question.whole_size
    near = (question.hops >= 0).nonzero()[:, 0]
    used = (question.group >= 0).nonzero()[:, 0]
    score = found.edge.detach().cpu().float()[question.group[used]]
    edges = question.edge_ids[used]
    edge_mask = torch.zeros(num_edges)
    edge_mask[edges] = score.abs()
    src, dst = question.node_ids[question.src[used]], question.node_ids[question.dst[used]]
    node_feat = None if found.node_feat is None else found.node_feat.detach().cpu().float()[near]
    node_mask = torch.zeros(num_nodes)
    if node_feat is not None:
        node_mask[question.node_ids[near]] = node_feat.abs().sum(1)
    else:
        for ends in (src, dst):
            node_mask.scatter_reduce_(0, ends, score.abs(), "amax")
    feat_mask = None if found.feat is None else found.feat.detach().cpu().float()
    classes = question.node_classes
    if bool((classes < 0).all()) and kinds is not None:
        classes = kinds.cpu()[question.node_ids]
    return Explanation(
        method=find("explainer", method).name,
        target=question.target,
        prediction=_prediction(question, labels),
        node_mask=node_mask,
        edge_mask=edge_mask,
        feat_mask=feat_mask,
        nodes=question.node_ids[near],
        hops=question.hops[near],
        edges=edges,
        src=src,
        dst=dst,
        group=question.group[used],
        effect=score if found.signed else None,
        node_feat=node_feat,
        node_classes=classes[near],
        node_top=_node_top(question.batch.feat[near].cpu(), feat_mask, node_feat),
        info=info,
        names=names,
        graph=source,
        question=question,
    )


def _prediction(question: Question, labels: Tensor | None) -> Prediction:
    rows, reading, target = question.reference.cpu(), question.reading, question.target
    true = None
    if labels is not None and target.kind in {"node", "graph"} and target.ids[0] < len(labels):
        label = labels[target.ids[0]].reshape(-1)
        value = label[reading.column if len(label) > 1 else 0].item()
        true = None if value != value or (value == -1 and not labels.is_floating_point()) else value
    return Prediction(reading, int(reading.answer(rows)), float(reading.probability(rows)), reading.table(rows), true)


def _node_top(feat: Tensor, feat_mask: Tensor | None, node_feat: Tensor | None) -> Tensor | None:
    """Return the three features of each node that weigh most, -1 where a node has fewer that weigh anything."""
    if feat_mask is None:
        return None
    score = feat.abs() * feat_mask if node_feat is None else node_feat.abs()
    k = min(3, score.shape[1])
    best = torch.topk(score, k, dim=1)
    top = torch.full((len(feat), 3), -1)
    top[:, :k] = torch.where(best.values > 0, best.indices, -1)
    return top
