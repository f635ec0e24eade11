"""The one call: from a run or model, data and a target to an Explanation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphkit.core.errors import GraphKitError, unknown
from graphkit.core.registry import entries, find
from graphkit.explain.attribution import Attribution
from graphkit.explain.explanation import Explanation, Prediction
from graphkit.explain.many import explain_all, parse_targets, shown_progress
from graphkit.explain.naming import Names, names_of
from graphkit.explain.question import Question, check_weights_honoured
from graphkit.explain.source import Source
from graphkit.explain.target import parse_target

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
    nodes: Sequence[int] | None = None,
    pairs: Sequence[tuple[int, int]] | None = None,
    graphs: Sequence[int] | None = None,
    method: Any = "gnnexplainer",
    seed: int = 0,
    progress: bool | None = None,
    class_names: Any = None,
    feature_names: Any = None,
    node_names: Any = None,
    time: float | None = None,
    **options: Any,
) -> Any:
    """Explain one prediction of a trained model, or many at once.

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
    nodes, pairs, graphs : sequence, optional
        In their place, many targets of one kind: GNNExplainer fits all their masks in one optimisation over their
        stacked computation graphs, and explainers that learn (PGExplainer, patterns) learn once.
    method : str or explainer, default "gnnexplainer"
        A registered explainer (``graphkit explainers`` lists them), or one made with its options.
    seed : int, default 0
    progress : bool, optional
        Show a progress bar over many targets; when None, on a terminal only.
    class_names, feature_names, node_names : sequence of str, optional
        For tables and pictures; the dataset's when None.
    time : float, optional
        Of a stream: when the pair is asked for, just after the last event when None. Its past events are then taken out
        one at a time, whatever the method; the option ``candidates`` says how many of each end.
    **options
        Of the method (``epochs``, ``lr``, ``steps``, ...) and of the question (``target_class``, ``norm``, ``mode``,
        ``column``, ``scope``, ``remove_target``; see :func:`graphkit.explain.ask`).

    Returns
    -------
    Explanation, PastExplanation (of a stream), or list of Explanation
        A list for ``nodes``, ``pairs`` and ``graphs``, in their order.

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
    many = {"node": nodes, "pair": pairs, "graph": graphs}
    if isinstance(run_or_model, str | Path):
        from graphkit.fit import Run

        run_or_model = Run.load(run_or_model)
    if getattr(getattr(run_or_model, "data", None) if data is None else data, "task", "") == "temporal-link":
        return _past(run_or_model, data, pair, time, options)
    explainer, asked = _explainer(method, options)
    model, data = _model_and_data(run_or_model, data)
    if not _weightless(explainer):  # the others remove edges, and need no weights
        check_weights_honoured(model)
    source = Source(model, data, asked)
    shown = {"class_names": class_names, "feature_names": feature_names, "node_names": node_names}
    if all(given is None for given in many.values()):
        target = parse_target(node, pair, edge, graph, rel)
        question = source.question(target)
        with question.open():
            found = explainer(question, seed)
        return _finish(explainer, question, found, seed, shown)
    targets = parse_targets(many, {"node": node, "pair": pair, "edge": edge, "graph": graph}, rel)
    questions = list(shown_progress((source.question(target) for target in targets), len(targets), "asking", progress))
    found_all = explain_all(explainer, questions, seed, progress)
    return [_finish(explainer, q, found, seed, shown) for q, found in zip(questions, found_all, strict=True)]


def _past(run: Any, data: Any, pair: Any, time: float | None, options: dict[str, Any]) -> Any:
    """Explain when a pair of a stream meets by the events of its past."""
    from graphkit.explain.past import explain_past
    from graphkit.tasks import for_data

    if pair is None:
        raise GraphKitError("a stream's predictions are of pairs at times; ask for one, such as pair=(3, 44), time=7")
    for name in options:
        if name != "candidates":
            raise unknown("option for streams", name, ["candidates"])
    model, data = _model_and_data(run, data)
    task: Any = run.task.on(data) if hasattr(run, "task") else for_data(data)
    return explain_past(model, task, (int(pair[0]), int(pair[1])), time, **options)


def _finish(explainer: Any, question: Question, found: Attribution, seed: int, shown: dict[str, Any]) -> Explanation:
    """Add names, options and the whole graph to what the explainer found."""
    source = question.source
    graph = source.batch(question.target)[1]
    names, kinds = names_of(source.data, graph, question.target, *shown.values())
    own = {f.name: getattr(explainer, f.name) for f in dataclasses.fields(explainer) if f.init}
    info = {"seed": seed, "options": _plain({**own, **source.asked}), **found.info}
    method = _name_of(explainer)
    return _assemble(method, question, found, source.labels(question.target), kinds, info, names, graph)


def _name_of(explainer: Any) -> str:
    """Return the name that the explainer's class is registered under, its own where it is not."""
    for name, entry in entries("explainer").items():
        if entry.obj is type(explainer):
            return name
    return type(explainer).__name__


def _weightless(explainer: Any) -> bool:
    known = entries("explainer").get(_name_of(explainer))
    return known is not None and bool(known.options.get("weightless"))


def _explainer(method: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Make the explainer from the options that are its own; return the options of the question too."""
    if not isinstance(method, str):
        if not (callable(method) and dataclasses.is_dataclass(method)) or isinstance(method, type):
            raise GraphKitError(f"method is {method!r}; expected the name of an explainer or one that has been made")
        for name in options:
            if name not in _ASK:
                raise unknown(f"option beside {type(method).__name__}", name, _ASK)
        return method, options
    entry = find("explainer", method)
    own = [f.name for f in dataclasses.fields(entry.obj) if f.init]
    for name in options:
        if name not in own and name not in _ASK:
            raise unknown(f"option of {entry.name}", name, [*own, *_ASK])
    mine = {name: value for name, value in options.items() if name in own}
    return entry.obj(**mine), {name: value for name, value in options.items() if name in _ASK}


def _model_and_data(run_or_model: Any, data: Any) -> tuple[nn.Module, Any]:
    if isinstance(run_or_model, nn.Module):
        if data is None:
            raise GraphKitError("a model was given without data; pass the dataset, graph or batch to explain it on")
        return run_or_model, data
    model = getattr(run_or_model, "model", None)
    if not isinstance(model, nn.Module):
        raise GraphKitError(f"cannot explain a {type(run_or_model).__name__}; expected a Run, its folder, or a model")
    return model, data if data is not None else run_or_model.data


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
        method=method,
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
