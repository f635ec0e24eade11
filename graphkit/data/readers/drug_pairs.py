"""Pairs of drugs that interact or do not: one graph is the disjoint union of two molecules."""

from __future__ import annotations

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw
from graphkit.data.store import Files

PARTS = {"train": "train", "valid": "val", "test": "test"}
COLUMNS = ["drugbank_id_1", "drugbank_id_2", "smiles_1", "smiles_2", "label"]


def pair_up(molecules: Collated, first: torch.Tensor, second: torch.Tensor) -> Collated:
    """Return the pairs (first[i], second[i]) as graphs, each the disjoint union of two.

    Parameters
    ----------
    molecules : Collated
    first, second : Tensor
        int64 ``[P]``.

    Returns
    -------
    Collated
        With the node field ``side`` (int64: 0 or 1).

    Examples
    --------
    >>> one = Collated.from_edges(torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor([2, 1]))
    >>> pair = pair_up(one, torch.tensor([1]), torch.tensor([0]))
    >>> pair.src.tolist(), pair.node_fields["side"].tolist()
    ([1, 2], [0, 1, 1])
    """
    both = molecules.subset(torch.stack([first, second], dim=1).reshape(-1))
    nodes, edges = both.node_counts, both.edge_counts
    side = torch.arange(len(both)) % 2
    shift = torch.zeros(len(both), dtype=torch.int64)
    shift[1::2] = nodes[0::2]
    shift = torch.repeat_interleave(shift, edges)
    edge_fields = dict(both.edge_fields)
    if "reverse_id" in edge_fields:
        before = torch.zeros(len(both), dtype=torch.int64)
        before[1::2] = edges[0::2]
        edge_fields["reverse_id"] = edge_fields["reverse_id"] + torch.repeat_interleave(before, edges)
    return Collated(
        both.node_offsets[0::2].clone(),
        both.edge_offsets[0::2].clone(),
        both.src + shift,
        both.dst + shift,
        {**both.node_fields, "side": torch.repeat_interleave(side, nodes)},
        edge_fields,
    )


@register(
    "drug-pairs",
    kind="reader",
    level="graph",
    title="Multi-view Graph Contrastive Representation Learning for Drug-Drug Interaction Prediction",
    arxiv="2010.11711",
)
def read_drug_pairs(files: Files) -> Raw:
    """Read ``*_train.csv``, ``*_valid.csv`` and ``*_test.csv`` of pairs of SMILES, whichever are there.

    Parameters
    ----------
    files : Files
        Columns drugbank_id_1, drugbank_id_2, smiles_1, smiles_2, label; others are left out.

    Returns
    -------
    Raw
        Atoms and bonds as in ``graphkit.graphs.molecule`` and the node field ``side`` (0 or 1); ``label`` int64; graph
        fields ``drug`` int64 ``[B, 2]`` (``names["drug"]``) and ``file``; the split ``public`` if all three are there.
        ``report`` counts pairs in two files with equal and with opposite labels, and repeats inside a file.

    Raises
    ------
    DataError
        Naming file and line: a label that is not 0 or 1, a SMILES that does not parse.
    MissingExtraError
        If RDKit is not installed.
    """
    import pandas

    from graphkit.graphs.molecule import smiles_to_collated

    found = {part: [name for name in files.names() if name.endswith(f"_{part}.csv")] for part in PARTS}
    present = {part: names[0] for part, names in found.items() if names}
    if not present:
        raise DataError(
            "expected pairs NAME_train.csv, NAME_valid.csv or NAME_test.csv among the raw files, found none"
        )
    parts = [_table(files, name) for name in present.values()]
    rows = pandas.concat(parts, ignore_index=True)
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    drugs, ids = np.unique(rows[COLUMNS[:2]].to_numpy().astype(str).T.reshape(-1), return_inverse=True)
    drug = torch.from_numpy(ids.reshape(2, -1).T.astype(np.int64).copy())
    texts, codes = np.unique(rows[COLUMNS[2:4]].to_numpy().astype(str).T.reshape(-1), return_inverse=True)
    first, second = torch.from_numpy(codes.reshape(2, -1).astype(np.int64))
    stands = np.tile(rows["place"].to_numpy(), 2)[np.unique(codes, return_index=True)[1]]
    made = smiles_to_collated([str(text) for text in texts], "raise", places=stands.tolist())
    molecules = Collated(
        made.node_offsets, made.edge_offsets, made.src, made.dst, dict(made.node_fields), dict(made.edge_fields)
    )
    collated = pair_up(molecules, first, second)
    label = rows["label"].to_numpy().astype(np.float64).astype(np.int64)
    collated.graph_fields |= {
        "label": torch.from_numpy(label),
        "drug": drug,
        "file": torch.from_numpy(owner),
    }
    split = {PARTS[part]: torch.from_numpy(np.flatnonzero(owner == i)) for i, part in enumerate(present)}
    report = {"drugs": len(drugs), "smiles": len(texts), **_overlaps(drug.numpy(), label, owner)}
    names = {"class": ["0", "1"], "drug": [str(x) for x in drugs], "file": list(present.values())}
    return Raw(collated, {"public": split} if len(present) == 3 else {}, names, report)


def _table(files: Files, name: str):
    label = files.label(name)
    table = tables.frame(files.read(name), label, COLUMNS)[COLUMNS]
    wrong = ~table["label"].str.strip().isin(["0", "1", "0.0", "1.0"])
    if wrong.any():
        line = table.index[wrong][0]
        raise DataError(f"{label}, line {line}: {table['label'][line]!r} in column 'label'; expected 0 or 1")
    return table.assign(place=[f"{label}, line {line}" for line in table.index])


def _overlaps(drug: np.ndarray, label: np.ndarray, owner: np.ndarray) -> dict[str, int]:
    """Count ordered pairs of drugs that are repeated inside a file, or stand in two with equal or opposite labels."""
    import pandas

    frame = pandas.DataFrame({"a": drug[:, 0], "b": drug[:, 1], "label": label, "file": owner})
    repeated = int(frame.duplicated(["a", "b", "file"]).sum())
    once = frame.drop_duplicates(["a", "b", "file"])
    both = once.merge(once, on=["a", "b"])
    both = both[both["file_x"] < both["file_y"]]
    same = int((both["label_x"] == both["label_y"]).sum())
    return {
        "repeated_pairs": repeated,
        "pairs_in_two_files_same": same,
        "pairs_in_two_files_opposite": len(both) - same,
    }
