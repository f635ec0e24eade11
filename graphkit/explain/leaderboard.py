"""Every explainer on one dataset with a known cause: how well it finds it, how faithful it is, how long it takes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError
from graphkit.core.registry import entries
from graphkit.explain.agreement import edge_auc, rank_auc
from graphkit.explain.explanation import Explanation
from graphkit.explain.judging import again, group_scores, same_top, shaken, unfaithfulness
from graphkit.explain.measures import fidelity

if TYPE_CHECKING:
    from graphkit.data import Dataset

#: Fields that number the planted motif of a node, -1 elsewhere.
MOTIFS = ("house", "motif")
#: Of several smallest causes of one graph, so many are joined in every way.
MOST = 16


def targets_of(data: Dataset, count: int = 20, label: int | None = None) -> dict[str, list[int]]:
    """Return what is explained: the node that ties each motif to its base, or graphs of the test part with a cause.

    Parameters
    ----------
    data : Dataset
        With the edge field ``motif_edge``.
    count : int, default 20
        At most so many, evenly spaced over the motifs, or the first graphs.
    label : int, optional
        Only graphs of this label: in Mutagenicity the marked groups explain one class.

    Returns
    -------
    dict
        ``nodes`` or ``graphs``, arguments of :func:`graphkit.explain.explain`.

    Raises
    ------
    GraphKitError
        If the dataset marks no cause.

    Examples
    --------
    >>> import graphkit as gk
    >>> targets_of(gk.load("tree-cycles"), 2)
    {'nodes': [511, 691]}
    """
    if data.task == "graph":
        found = []
        for i in data.splits["test"].tolist():
            truth = data[i].edata.get("motif_edge")
            fits = label is None or int(data.labels[i]) == label
            if fits and truth is not None and bool(truth.any()) and not bool(truth.all()):
                found.append(i)
            if len(found) == count:
                break
        if found:
            return {"graphs": found}
    else:
        name = next((name for name in MOTIFS if name in data.graph.ndata), None)
        if name is not None and "motif_edge" in data.graph.edata:
            motif = data.graph.ndata[name]
            first = [int((motif == m).nonzero()[0]) for m in torch.unique(motif[motif >= 0]).tolist()]
            step = max(1, len(first) // count)
            return {"nodes": first[::step][:count]}
    raise GraphKitError(f"{data.name} marks no edges as the cause of its labels (edata['motif_edge'])")


def truths_of(data: Dataset, why: Explanation) -> Tensor:
    """Return every known cause of a prediction, of which finding any one is right, bool ``[V, E]``.

    Where the dataset numbers several smallest causes (bits of ``explanation``: two benzene rings, say), each of them
    and each union of them is valid, as in "Evaluating Explainability for Graph Neural Networks" (2208.09339).

    Parameters
    ----------
    data : Dataset
        With the edge field ``motif_edge``.
    why : Explanation
    """
    graph = data[why.target.ids[0]] if why.target.kind == "graph" else data.graph
    if "explanation" not in graph.ndata:
        return graph.edata["motif_edge"].bool()[None]
    src, dst = graph.edges(order="eid")
    bits = graph.ndata["explanation"][src] & graph.ndata["explanation"][dst]
    smallest = torch.stack([(bits >> k) & 1 == 1 for k in range(MOST)])
    smallest = smallest[smallest.any(1)]
    joined = torch.tensor(list(itertools.product([False, True], repeat=len(smallest)))[1:])
    if not len(smallest):
        return graph.edata["motif_edge"].bool()[None]
    return torch.unique(joined.double() @ smallest.double() > 0, dim=0)


def judged(data: Dataset, found: Sequence[Explanation], samples: int = 20) -> dict[str, float]:
    """Return the mean scores of explanations against the known cause.

    Parameters
    ----------
    data : Dataset
    found : sequence of Explanation
    samples : int, default 20
        Draws of robust fidelity.

    Returns
    -------
    dict
        Against ``motif_edge``, or the best-matching one of several valid causes: ``auc`` (mean over targets),
        ``pooled_auc`` (all edges ranked together) and ``jaccard`` (of as many edges as the cause has); with as many
        edges as the smallest cause has: ``plus, minus`` (classical fidelity), ``robust_plus, robust_minus`` (a1 = 0.1,
        a2 = 0.9), ``unfaithfulness`` and ``sparsity``.
    """
    columns: dict[str, list[float]] = {}
    known, score = [], []
    for why in found:
        truths = truths_of(data, why)
        edges = why.edges[why._first_of_groups()]
        k = cause_size(data, why)
        plain = fidelity(why, k=k)
        robust = fidelity(why, k=k, remove=0.1, keep=0.9, samples=samples)
        row = {"auc": edge_auc(why, truths), "plus": plain["plus"], "minus": plain["minus"]}
        row |= {"robust_plus": robust["plus"], "robust_minus": robust["minus"], "sparsity": plain["sparsity"]}
        row["unfaithfulness"] = unfaithfulness(why, k=k)
        row["jaccard"], best = _best_match(why.edge_mask[edges], truths[:, edges])
        known.append(truths[best, edges])
        score.append(why.edge_mask[edges])
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    means = {name: float(np.nanmean(values)) for name, values in columns.items()}
    means["pooled_auc"] = float(rank_auc(torch.cat(score), torch.cat(known)[None]))
    return means


def cause_size(data: Dataset, why: Explanation) -> int:
    """Return how many undirected edges that can matter the smallest known cause has, at least 1."""
    sizes = truths_of(data, why)[:, why.edges[why._first_of_groups()]].sum(1)
    return max(1, int(sizes.min()))


def _best_match(score: Tensor, truths: Tensor) -> tuple[float, int]:
    """Return the largest Jaccard likeness of a cause and as many of the weightiest edges, and the cause's number."""
    place = torch.empty(len(score), dtype=torch.int64)
    place[torch.sort(score, descending=True, stable=True).indices] = torch.arange(len(score))
    sizes = truths.sum(1)
    both = (truths & (place < sizes[:, None])).sum(1).double()
    likeness = both / (2 * sizes - both).clamp(min=1)
    return float(likeness.max()), int(likeness.argmax())


def steadiness(
    trained: Any, data: Dataset, explainer: Any, given: Mapping[str, Any], seed: int, noise: float = 0.01
) -> dict[str, float]:
    """Return how much of explanations stays with other seeds, and with features moved a little.

    Parameters
    ----------
    trained : Run or nn.Module
    data : Dataset
    explainer : explainer
        Made, so that one that learns learns once for each seed.
    given : mapping
        Arguments of :func:`graphkit.explain.explain`: a few targets and options.
    seed : int
    noise : float, default 0.01
        As for :func:`graphkit.explain.stability`.

    Returns
    -------
    dict
        ``seeds`` and ``inputs``: mean Jaccard overlap of the weightiest edges, as many as the cause has; no ``inputs``
        where features are constant, so that nothing moves.
    """
    from graphkit.explain.api import explain

    def ask(at: int) -> Any:
        return explain(trained, data, method=explainer, seed=at, progress=False, **given)

    first = ask(seed)
    of_seeds, of_inputs = [], []
    for why in first:  # before other seeds: an explainer that learns has learned with this one
        question = why.require_question()
        moving = question.has_features and bool(question.batch.feat.std(0, unbiased=False).gt(0).any())
        twins = [shaken(question, noise, at) for at in (seed, seed + 1)] if moving else []
        others = [again(explainer, twin, seed) for twin in twins if twin is not None]
        of_inputs += [same_top(group_scores(why), other, cause_size(data, why)) for other in others]
    for drawn in zip(first, ask(seed + 100), ask(seed + 200), strict=True):
        masks = [group_scores(why) for why in drawn]
        of_seeds += [same_top(a, b, cause_size(data, drawn[0])) for a, b in itertools.combinations(masks, 2)]
    found = {"seeds": of_seeds, "inputs": of_inputs}
    return {name: float(np.mean(values)) for name, values in found.items() if values}


def board(
    trained: Any,
    untrained: Any,
    data: Dataset,
    seed: int = 0,
    count: int = 20,
    label: int | None = None,
    methods: Sequence[str] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    limit: Mapping[str, int] | None = None,
    variants: Mapping[str, Mapping[str, Any]] | None = None,
    steady: int = 5,
) -> dict[str, dict[str, Any]]:
    """Run explainers on one dataset, on a trained model and on the same network as it was drawn.

    Parameters
    ----------
    trained, untrained : Run or nn.Module
    data : Dataset
    seed : int
    count, label
        As for :func:`targets_of`.
    methods : sequence of str, optional
        All registered explainers when None.
    options : mapping, optional
        Options of single methods.
    limit : mapping, optional
        Fewer targets for slow methods; the row says how many.
    variants : mapping, optional
        More rows: the name of each and its options, ``method`` among them.
    steady : int, default 5
        Targets over which :func:`steadiness` is measured; 0 for none.

    Returns
    -------
    dict
        For each row what :func:`judged` gives, ``seeds`` and ``inputs`` of :func:`steadiness`, ``seconds`` and
        ``cpu_seconds`` for each target, ``targets``, and ``untrained_auc``; or ``refused`` with the reason for which
        it does not apply.
    """
    from graphkit.explain.api import explain

    ((name, ids),) = targets_of(data, count, label).items()
    first: dict[str, Any] = {name: ids[:1]}
    explain(trained, data, method="gnnexplainer", epochs=1, **first)  # kernels compile before the clock
    rows: dict[str, dict[str, Any]] = {
        m: {"method": m, **(options or {}).get(m, {})} for m in methods or entries("explainer")
    }
    rows |= {row: dict(given) for row, given in (variants or {}).items()}
    table: dict[str, dict[str, Any]] = {}
    for row, own in rows.items():
        mine = ids[: (limit or {}).get(row, len(ids))]
        try:
            table[row] = _row(trained, untrained, data, own, {name: mine}, {name: mine[:steady]}, seed)
        except GraphKitError as error:
            table[row] = {"refused": str(error)}
    return table


def _row(
    trained: Any,
    untrained: Any,
    data: Dataset,
    own: Mapping[str, Any],
    given: dict[str, Any],
    few: dict[str, Any],
    seed: int,
) -> dict[str, Any]:
    from graphkit.explain.api import _explainer, explain

    options = {key: value for key, value in own.items() if key != "method"}
    explainer, asked = _explainer(own["method"], options)
    ((_, ids),) = given.items()
    start = time.perf_counter(), time.process_time()
    found = explain(trained, data, method=explainer, seed=seed, progress=False, **given, **asked)
    spent = time.perf_counter() - start[0], time.process_time() - start[1]
    row: dict[str, Any] = judged(data, found)
    if any(few.values()):
        row |= steadiness(trained, data, explainer, {**few, **asked}, seed)
    control = explain(untrained, data, method=explainer, seed=seed, progress=False, **given, **asked)
    row["untrained_auc"] = float(np.nanmean([edge_auc(why, truths_of(data, why)) for why in control]))
    row |= {"seconds": spent[0] / len(ids), "cpu_seconds": spent[1] / len(ids), "targets": len(ids), "options": options}
    return row
