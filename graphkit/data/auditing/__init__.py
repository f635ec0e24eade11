"""``audit``: what to know of a dataset and its split before training on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from graphkit.data.auditing import codes, labelled, linked
from graphkit.data.auditing.baselines import baseline
from graphkit.data.auditing.findings import SEVERITIES, Audit, Finding
from graphkit.data.auditing.linked import audit_pairs

if TYPE_CHECKING:
    from graphkit.data.dataset import Dataset

__all__ = ["SEVERITIES", "Audit", "Finding", "audit", "audit_pairs"]

#: The checks of each task, besides those of any.
CHECKS = {
    "node": (
        labelled.twin_nodes,
        labelled.twin_features,
        labelled.telling_columns,
        labelled.sorted_labels,
        labelled.classes,
    ),
    "graph": (
        linked.paired_graphs,
        labelled.twin_graphs,
        labelled.telling_columns,
        labelled.scaffolds,
        labelled.sorted_labels,
        labelled.classes,
    ),
    "link": (linked.links,),
    "triple": (linked.triples,),
    "temporal-link": (linked.events,),
    "hyperedge": (linked.hyperedges,),
    "forecast": (linked.windows,),
}
#: How a reader's report is told; other entries are its own business.
REPORTED = {
    "repeated_edges": "Repeated edges in the raw files, which count once: {}.",
    "repeated_triples": "Repeated triples in the raw files, which count once: {}.",
    "repeated_members": "Repeated members of hyperedges in the raw files, which count once: {}.",
    "repeated_rows": "Repeated rows in the raw files, which count once: {}.",
    "repeated_smiles": "Rows that repeat the SMILES of another row: {}.",
    "self_loops": "Self-loops in the raw files: {}; the card says whether they are kept.",
    "skipped": "Raw rows skipped because they could not be read: {}.",
    "without_bonds": "Molecules without a bond: {}.",
    "repeated_targets": "Repeated rows of labels in the raw files, which agree: {}.",
    "out_of_order": "Raw rows that are not in the order of time, in which they stand here: {}.",
    "below_threshold": "Raw rows left out as below the threshold: {}.",
}


def audit(data: Dataset | str) -> Audit:
    """Check a dataset and its split for what makes scores mean something else than they seem to.

    Parameters
    ----------
    data : Dataset or str
        A name is loaded with its default split.

    Returns
    -------
    Audit
        Findings with a severity (``trap``, ``note``, ``fact``), a number and one sentence, the worst first.

    Raises
    ------
    UnknownNameError
        If there is no dataset of that name.

    Examples
    --------
    >>> import graphkit as gk
    >>> audit = gk.data.audit(gk.load("ba-shapes"))
    >>> audit.traps, round(audit["class-balance"].number, 2)
    ([], 0.43)
    """
    if isinstance(data, str):
        from graphkit.data.loading import load

        data = load(data)
    found = [finding for check in CHECKS[data.task] for finding in check(data)]
    if data.num_hyperedges and data.task == "node":
        found += linked.hyperedges(data)
    found += [*linked.labelled_edges(data), *_isolated(data), *_reported(data), *_papers(data), *baseline(data)]
    return Audit(data.name, data.task, data.split_name, found, data.card.traps)


def _isolated(data: Dataset) -> Iterator[Finding]:
    """Nodes without any edge, graphs without any."""
    if data.num_hyperedges or data.task == "forecast":
        return
    full = data.collated
    alone = codes.degrees(full, data.undirected) == 0
    if alone.any():
        inside = ""
        if data.task == "node":
            test = int(alone[data.splits["test"].numpy()].sum())
            inside = f", {test} of them in test"
        text = f"Nodes without any edge: {alone.sum()} of {len(alone)}{inside}."
        yield Finding("isolated", "note", int(alone.sum()), text)
    if data.task == "graph":
        bare, empty = int((full.edge_counts == 0).sum()), int((full.node_counts == 0).sum())
        if bare:
            text = f"Graphs without any edge: {bare} of {len(full)}" + (f", {empty} without a node." if empty else ".")
            yield Finding("edgeless-graphs", "note", bare, text)


def _reported(data: Dataset) -> Iterator[Finding]:
    """What the reader mended or left out, and files that nothing vouches for."""
    for name, sentence in REPORTED.items():
        value = data.report.get(name, 0)
        count = len(value) if isinstance(value, list | tuple | dict) else int(value)
        if count:
            yield Finding(name.replace("_", "-"), "note", count, sentence.format(count))
    unverified = data.report.get("unverified") or {}
    if unverified or (data.card.files and not data.card.verified):
        count = len(unverified) or len(data.card.files)
        yield Finding("unverified", "note", count, f"Raw files that no checksum on the card vouches for: {count}.")


def _papers(data: Dataset) -> Iterator[Finding]:
    """The card's counts, and the licence."""
    stated, found = data.card.statistics, data.statistics()
    apart = {
        name: (int(value), found.get(name, 0))
        for name, value in stated.items()
        if isinstance(value, int | np.integer) and name in found and int(value) != found[name]
    }
    if apart and not data.reader_options and not data.transform_names:
        text = ", ".join(f"{name} {now} instead of {then}" for name, (then, now) in apart.items())
        yield Finding("counts", "trap", len(apart), f"The loaded counts are not the card's: {text}.")
    licence = data.card.licence
    if not licence or "unstated" in licence.lower():
        yield Finding("licence", "note", 0, f"Licence: {licence or 'none stated'}; ask before you pass the data on.")
    else:
        bound = any(word in licence.lower() for word in ("-nc", "non-commercial", "noncommercial", "permission"))
        yield Finding("licence", "note" if bound else "fact", 1, f"Licence: {licence}.")
