"""Published ground truth of explanations: GNNExplainer's pickles, Mutagenicity's motif edges, molecules with marks."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, tidy
from graphkit.data.readers.tu import read_tu
from graphkit.data.store import Files
from graphkit.data.unpickle import check_member, load_npz, loads

MEMBERS = ("adjacency", "features", "y_train", "y_val", "y_test", "train mask", "val mask", "test mask", "edge marks")


class ZipFiles(Files):
    """The members of a zip archive among a reader's files, as files of their own.

    Parameters
    ----------
    files : Files
    name : str
        Of the archive.

    Raises
    ------
    DataError
        If it is truncated or no archive.
    UnsafeFileError
        If a member's path leaves the archive.
    """

    def __init__(self, files: Files, name: str) -> None:
        self.place = files.label(name)
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(files.read(name)))
            self._names = sorted(check_member(m, self.place) for m in self._archive.namelist() if not m.endswith("/"))
        except zipfile.BadZipFile as error:
            raise DataError(f"{self.place} is truncated or not a zip archive ({error})") from error

    def names(self) -> list[str]:
        """Return the names of all members, sorted."""
        return list(self._names)

    def has(self, name: str) -> bool:
        """Say whether the member is there."""
        return name in self._names

    def label(self, name: str) -> str:
        """Return what to call the member in an error."""
        return f"{self.place}:{name}"

    def read(self, name: str) -> bytes:
        """Return the bytes of a member."""
        if not self.has(name):
            raise DataError(f"{self.place} holds no {name}")
        try:
            return self._archive.read(name)
        except (zipfile.BadZipFile, EOFError, OSError) as error:
            raise DataError(f"{self.label(name)} is truncated ({error})") from error


@register("gnnexplainer-pickle", kind="reader", level="node", title="GNNExplainer", arxiv="1903.03894", keep=True)
def read_gnnexplainer(files: Files, *, member: str = "syn1") -> Raw:
    """Read one of GNNExplainer's graphs as PGExplainer stores it: a pickle of nine arrays.

    Parameters
    ----------
    files : Files
        ``datasets.zip`` with ``{member}.pkl``, or ``{member}.pkl`` itself; read through the allow-list.
    member : str
        ``syn1`` (BA-Shapes), ``syn2`` (BA-Community), ``syn3`` (Tree-Cycles), ``syn4`` (Tree-Grid).

    Returns
    -------
    Raw
        ``feat``, ``label`` (the one-hot labels of the three parts together), the split ``public``, edge field
        ``motif_edge``: the file marks one direction of each motif edge, here both are marked.

    Raises
    ------
    DataError
        If an array is missing, or shapes contradict each other.
    UnsafeFileError
        If the pickle names anything but numpy.
    """
    name = f"{member}.pkl"
    source = files if files.has(name) else ZipFiles(files, "datasets.zip")
    label = source.label(name)
    held = loads(source.read(name), label)
    if not isinstance(held, list | tuple) or len(held) != len(MEMBERS):
        raise DataError(f"{label} is no tuple of {len(MEMBERS)} arrays")
    adjacency, feat, *targets = (np.asarray(part) for part in held)
    masks, marks = [mask.astype(bool) for mask in targets[3:6]], targets[6]
    n = len(feat)
    shapes = [adjacency.shape, marks.shape, *(mask.shape for mask in masks), *(y.shape[:1] for y in targets[:3])]
    if feat.ndim != 2 or shapes != [(n, n), (n, n), *[(n,)] * 6] or len({y.shape for y in targets[:3]}) != 1:
        raise DataError(f"{label}: shapes contradict each other: features {feat.shape}, {shapes}")
    one_hot = sum(targets[1:3], targets[0])
    known = one_hot.sum(axis=1) > 0
    src, dst = np.nonzero(adjacency)
    if ((marks != 0) & (adjacency == 0)).any():
        raise DataError(f"{label} marks edges that are not there")
    both = (marks != 0) | (marks != 0).T
    source_ids, target_ids, fields, report = tidy(src, dst, n, {"motif_edge": both[src, dst]})
    node_fields = {
        "feat": torch.from_numpy(feat.astype(np.float32)),
        "label": torch.from_numpy(np.where(known, one_hot.argmax(axis=1), -1).astype(np.int64)),
    }
    report["marked_directions"] = int((marks != 0).sum())
    collated = Collated.from_edges(source_ids, target_ids, torch.tensor([n]), node_fields, fields)
    parts = {part: torch.from_numpy(np.flatnonzero(mask)) for part, mask in zip(("train", "val", "test"), masks)}
    return Raw(collated, {"public": parts}, {"class": [str(c) for c in range(one_hot.shape[1])]}, report)


@register("mutagenicity-gt", kind="reader", level="graph", title="PGExplainer", arxiv="2011.04573", keep=True)
def read_mutagenicity(files: Files) -> Raw:
    """Read Mutagenicity with the edges of its NO2 and NH2 groups, from ``Mutagenicity.zip``.

    Returns
    -------
    Raw
        As the reader ``tu`` gives, with the edge field ``motif_edge`` (both directions) and the graph field
        ``has_motif``.

    Raises
    ------
    DataError
        If the archive is truncated, or the marks are not one for each row of ``Mutagenicity_A.txt``.
    """
    inside = ZipFiles(files, "Mutagenicity.zip")
    raw = read_tu(inside)
    edges = tables.integers(inside.read("Mutagenicity_A.txt"), inside.label("Mutagenicity_A.txt"), columns=2) - 1
    name = "Mutagenicity_edge_gt.txt"
    marks = tables.integers(inside.read(name), inside.label(name), columns=1)[:, 0]
    if len(marks) != len(edges):
        raise DataError(f"{inside.label(name)} has {len(marks)} lines where {len(edges)} were expected")
    made = raw.collated
    total = made.num_nodes
    shift = torch.repeat_interleave(made.node_offsets[:-1], made.edge_counts)
    marked = edges[marks != 0]
    here = ((made.src + shift) * total + made.dst + shift).numpy()
    made.edge_fields["motif_edge"] = torch.from_numpy(np.isin(here, marked[:, 0] * total + marked[:, 1]))
    owner = torch.repeat_interleave(torch.arange(len(made)), made.edge_counts)
    made.graph_fields["has_motif"] = torch.zeros(len(made), dtype=torch.bool)
    made.graph_fields["has_motif"][owner[made.edge_fields["motif_edge"]]] = True
    raw.report["marked_rows"] = len(marked)
    return raw


@register(
    "graphxai",
    kind="reader",
    level="graph",
    title="Evaluating Explainability for Graph Neural Networks",
    arxiv="2208.09339",
    keep=True,
)
def read_graphxai(files: Files) -> Raw:
    """Read molecules with marked atoms: ``*_smiles.csv`` and ``true_raw_attribution_datadicts.npz``.

    A molecule may have several valid explanations (every set of its benzene rings, say). Those that contain no other
    are numbered; an atom carries a bit for each it belongs to, and a bond belongs to one if both of its atoms do.

    Parameters
    ----------
    files : Files
        Object arrays go through the allow-list. Labels are those of ``y_true.npz`` if it is there: the column
        ``label`` of Fluoride-Carbonyl's table is another property, unrelated to the marks.

    Returns
    -------
    Raw
        Atoms and bonds as in ``graphkit.graphs.molecule``; ``label`` int64 in 0, 1; node fields ``explanation`` (int64,
        bit k for the k-th smallest explanation) and ``motif`` (bool), edge field ``motif_edge``, graph field
        ``explanations`` (how many).

    Raises
    ------
    DataError
        Naming the row where marks and atoms do not correspond, or a SMILES does not parse.
    MissingExtraError
        If RDKit is not installed.
    """
    from graphkit.graphs.molecule import smiles_to_collated

    found = [name for name in files.names() if name.endswith("_smiles.csv")]
    if len(found) != 1:
        raise DataError(f"expected one file NAME_smiles.csv among the raw files, found {len(found)}")
    table = tables.frame(files.read(found[0]), files.label(found[0]), ["smiles", "label"])
    name = "true_raw_attribution_datadicts.npz"
    dicts = load_npz(files.read(name), files.label(name)).get("datadict_list")
    if dicts is None or len(dicts) != len(table):
        count = "no" if dicts is None else len(dicts)
        raise DataError(f"{files.label(name)} holds {count} marks for {len(table)} molecules")
    texts = [text.strip() for text in table["smiles"]]
    places = [f"{files.label(found[0])}, line {line}" for line in table.index]
    made = smiles_to_collated(texts, "raise", places=places)
    bits, counts = [], []
    for row, (marks, atoms) in enumerate(zip(dicts.reshape(-1), made.node_offsets.diff().tolist(), strict=True)):
        given = np.asarray(marks.get("nodes") if isinstance(marks, dict) else None)
        if given.ndim != 2 or len(given) != atoms:
            raise DataError(f"{files.label(name)}, row {row}: marks of shape {given.shape} for {atoms} atoms")
        smallest = _smallest(given != 0)
        bits.append(smallest.astype(np.int64) @ (1 << np.arange(smallest.shape[1], dtype=np.int64)))
        counts.append(smallest.shape[1])
    explanation = torch.from_numpy(np.concatenate(bits)) if bits else torch.empty(0, dtype=torch.int64)
    shift = torch.repeat_interleave(made.node_offsets[:-1], made.edge_offsets.diff())
    edge_fields = {
        **made.edge_fields,
        "motif_edge": (explanation[made.src + shift] & explanation[made.dst + shift]) != 0,
    }
    label = _labels(files, found[0], table["label"])
    collated = Collated(
        made.node_offsets,
        made.edge_offsets,
        made.src,
        made.dst,
        {**made.node_fields, "explanation": explanation, "motif": explanation != 0},
        edge_fields,
        {"label": label, "explanations": torch.tensor(counts, dtype=torch.int64)},
    )
    names = {"class": ["0", "1"], "smiles": texts}
    return Raw(collated, {}, names, {"with_marks": sum(count > 0 for count in counts)})


def _smallest(marks: np.ndarray) -> np.ndarray:
    """Return the distinct columns of bool ``[atoms, k]`` that are not empty and contain no other."""
    columns = np.unique(marks[:, marks.any(axis=0)], axis=1)
    sizes = columns.sum(axis=0)
    inside = (columns.T.astype(np.int64) @ columns.astype(np.int64)) == sizes[:, None]  # [i, j]: i lies in j
    contains = (inside & (sizes[:, None] < sizes[None, :])).any(axis=0)
    return columns[:, ~contains][:, :63]


def _labels(files: Files, csv: str, column) -> torch.Tensor:
    """Return the labels of ``y_true.npz``, which are those of the marks; of the table only where it is missing."""
    if files.has("y_true.npz"):
        label = files.label("y_true.npz")
        found = np.asarray(load_npz(files.read("y_true.npz"), label).get("y", ())).reshape(-1)
        cells = [str(value) for value in found.tolist()]
        if len(cells) != len(column):
            raise DataError(f"{label} holds {len(cells)} labels for {len(column)} molecules")
    else:
        label, cells = files.label(csv), [cell.strip() for cell in column]
    for row, cell in enumerate(cells):
        if cell not in ("0", "1", "0.0", "1.0"):
            where = f"row {row}" if files.has("y_true.npz") else f"line {column.index[row]}"
            raise DataError(f"{label}, {where}: the label {cell!r}; expected 0 or 1")
    return torch.tensor([int(float(cell)) for cell in cells], dtype=torch.int64)
