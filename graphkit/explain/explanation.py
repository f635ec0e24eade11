"""The answer to "why": scores of nodes, edges and features for one prediction, to be read, tested, drawn and stored."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import DataError, GraphKitError
from graphkit.explain.naming import Names
from graphkit.explain.target import Reading, Target

if TYPE_CHECKING:
    import dgl
    import pandas
    from matplotlib.figure import Figure

    from graphkit.explain.question import Question

FORMAT_VERSION = 1


@dataclass
class Prediction:
    """What the model answers for the target.

    Parameters
    ----------
    reading : Reading
        Which answer is explained and how it is read.
    answer : int
        The model's own answer; ``reading.label`` unless another class was asked for.
    value : float
        Probability of the explained answer; for regression the value.
    probabilities : list of float
        Of all classes; empty for regression.
    true_label : int or float, optional
        Where the dataset has one.
    """

    reading: Reading
    answer: int
    value: float
    probabilities: list[float] = field(default_factory=list)
    true_label: float | None = None


@dataclass
class Explanation:
    """Why a model answered as it did: how much each node, edge and feature weighs in one prediction.

    Parameters
    ----------
    method : str
    target : Target
    prediction : Prediction
    node_mask : Tensor
        Importance of nodes, float32 ``[N]``, 0 outside the computation graph.
    edge_mask : Tensor
        Importance of edges, float32 ``[E]``, at least 0; both directions of an undirected edge have one value.
    feat_mask : Tensor or None
        Importance of features, float32 ``[D]``; None where nodes have no features.
    nodes, hops : Tensor
        The computation graph's nodes and their hops to the target, int64 ``[n]``.
    edges, src, dst, group : Tensor
        Its edges: ids, ends, and a number shared by both directions, int64 ``[e]``.
    effect : Tensor, optional
        Signed edge scores ``[e]`` of methods that tell support from opposition.
    node_feat : Tensor, optional
        Signed scores ``[n, D]`` of methods that score each node's features.
    node_classes : Tensor, optional
        Of each node of ``nodes``: the model's class for node targets, else its label or kind (an atom's element), -1
        unknown.
    node_top : Tensor, optional
        The three weightiest features of each node, int64 ``[n, 3]``, -1 none.
    info : dict
        Options of the method and what it measured of itself.
    names : Names
    graph : dgl.DGLGraph, optional
        The whole graph; not stored.
    question : Question, optional
        The model and working graph, for :meth:`fidelity`; not stored.

    Examples
    --------
    >>> import graphkit as gk
    >>> data = gk.load("karate")
    >>> why = gk.explain(gk.models.build("gcn", data), data, node=0, epochs=5)
    >>> list(why.top_edges(3).columns)
    ['src', 'dst', 'importance', 'edge']
    """

    method: str
    target: Target
    prediction: Prediction
    node_mask: Tensor
    edge_mask: Tensor
    feat_mask: Tensor | None
    nodes: Tensor
    hops: Tensor
    edges: Tensor
    src: Tensor
    dst: Tensor
    group: Tensor
    effect: Tensor | None = None
    node_feat: Tensor | None = None
    node_classes: Tensor | None = None
    node_top: Tensor | None = None
    info: dict[str, Any] = field(default_factory=dict)
    names: Names = field(default_factory=Names)
    graph: dgl.DGLGraph | None = field(default=None, repr=False)
    question: Question | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return (
            f"Explanation of {self.target} by {self.method}: {self.summary()} "
            f"{self.num_edges} edges and {len(self.nodes)} nodes can matter."
        )

    def summary(self) -> str:
        """Return the prediction as one sentence."""
        reading, value = self.prediction.reading, self.prediction.value
        what = str(self.target)[0].upper() + str(self.target)[1:]
        if reading.mode == "regression":
            return f"{what} is predicted {value:.4g}."
        if self.target.kind == "pair":
            said = "a link" if reading.label else "no link"
            return f"{what}: {said}, with probability {_percent(value)}."
        name = self.names.of_class(reading.label)
        if reading.label == self.prediction.answer:
            return f"{what} is predicted {name}, with probability {_percent(value)}."
        return f"{what} is given {name} with probability {_percent(value)} (this class was asked for)."

    @property
    def num_edges(self) -> int:
        """Edges that can matter; both directions of an undirected edge count once."""
        return int(self.group.max()) + 1 if len(self.group) else 0

    def _first_of_groups(self) -> Tensor:
        """Return the position in ``edges`` of one edge of each group, best first."""
        first = torch.full((self.num_edges,), len(self.group))
        first.scatter_reduce_(0, self.group, torch.arange(len(self.group)), "amin")
        return first[torch.sort(self.edge_mask[self.edges[first]], descending=True, stable=True).indices]

    def ranked_groups(self) -> Tensor:
        """Return the groups of ``group`` by importance, best first, int64 ``[G]``."""
        return self.group[self._first_of_groups()]

    def top_edges(self, k: int = 10) -> pandas.DataFrame:
        """Return the ``k`` weightiest edges as a table, all of them where fewer can matter.

        Parameters
        ----------
        k : int

        Returns
        -------
        pandas.DataFrame
            ``src, dst, importance, edge`` (the id of one direction), and ``effect`` where the method signs edges.

        Raises
        ------
        GraphKitError
            If ``k`` is below 0.
        """
        import pandas

        if k < 0:
            raise GraphKitError(f"k is {k}; expected 0 or more edges")
        chosen = self._first_of_groups()[:k]
        table = {
            "src": self.src[chosen].tolist(),
            "dst": self.dst[chosen].tolist(),
            "importance": self.edge_mask[self.edges[chosen]].tolist(),
            "edge": self.edges[chosen].tolist(),
        }
        if self.effect is not None:
            table["effect"] = self.effect[chosen].tolist()
        return pandas.DataFrame(table)

    def top_features(self, k: int = 10) -> pandas.DataFrame:
        """Return the ``k`` weightiest features as a table: ``feature`` (its number), ``name``, ``importance``."""
        import pandas

        mask = torch.zeros(0) if self.feat_mask is None else self.feat_mask
        order = torch.sort(mask, descending=True, stable=True).indices[:k].tolist()
        names = [self.names.of_feature(i) for i in order]
        return pandas.DataFrame({"feature": order, "name": names, "importance": mask[order].tolist()})

    def fidelity(
        self,
        k: int | None = None,
        fraction: float | None = None,
        *,
        frozen: bool = False,
        remove: float = 1.0,
        keep: float = 0.0,
        samples: int = 50,
        seed: int = 0,
    ) -> dict[str, float]:
        """Measure how much the answer rests on the ``k`` weightiest edges; see :func:`graphkit.explain.fidelity`.

        Parameters
        ----------
        k : int, optional
            How many edges (undirected ones count once) are the explanation; 10 unless ``fraction`` is given.
        fraction : float, optional
            The same as a share of the edges that can matter, in (0, 1].
        frozen : bool, default False
            Set weights to 0 under the unmasked graph's norms instead of really removing edges.
        remove, keep : float
            Robust fidelity (2310.01820): remove each explanation edge with this probability for ``plus``, keep each
            other edge with this probability for ``minus``; 1 and 0 are the classical measures.
        samples, seed : int
            Draws of robust fidelity.

        Returns
        -------
        dict
            ``plus`` (large is good), ``minus`` (small is good), ``delta``, ``plus_accuracy``, ``minus_accuracy``,
            ``probability``, ``k``, ``sparsity``.

        Raises
        ------
        GraphKitError
            If the explanation was loaded from a file and has no model, or ``k`` or a rate is out of range.
        """
        from graphkit.explain.measures import fidelity

        return fidelity(self, k, fraction, frozen=frozen, remove=remove, keep=keep, samples=samples, seed=seed)

    def plot(self, path: str | Path | None = None, *, k: int | None = None, max_nodes: int = 60) -> Figure:
        """Draw the subgraph around the target, edges by importance, and the weightiest features.

        Parameters
        ----------
        path : path, optional
            Where to write the picture; the suffix decides the format.
        k : int, optional
            How many of the weightiest edges are drawn strong; all by their importance when None.
        max_nodes : int
            At most this many nodes are drawn; the caption says so where some are left out.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        GraphKitError
            If ``k`` is below 0, ``max_nodes`` below 1, or the picture cannot be written.
        """
        from graphkit.explain.drawing import figure, write_picture

        made = figure(self, k, max_nodes)
        if path is not None:
            write_picture(made, Path(path))
        return made

    def to_html(self, path: str | Path, *, compare: Explanation | None = None, max_nodes: int = 60) -> Path:
        """Write one self-contained page (no network access): the subgraph, a slider for how many edges are kept.

        Parameters
        ----------
        path : path
        compare : Explanation, optional
            Of the same target by another method, shown beside it.
        max_nodes : int
            At most this many nodes are drawn; the page says so where some are left out.

        Returns
        -------
        pathlib.Path
            The file is written whole or not at all.

        Raises
        ------
        GraphKitError
            If ``compare`` explains something else, or the file cannot be written.
        """
        from graphkit.explain.page import render
        from graphkit.fit.folder import write_atomic

        path, text = Path(path), render(self, max_nodes, compare)
        write_atomic(path, lambda file: file.write_text(text, encoding="utf-8"))
        return path

    def save(self, path: str | Path) -> Path:
        """Write the explanation as JSON (without graph and model); :meth:`load` reads it."""
        path = Path(path)
        record: dict[str, Any] = {name: _pack(getattr(self, name)) for name in _TENSORS}
        record |= {
            "format_version": FORMAT_VERSION,
            "method": self.method,
            "target": vars(self.target),
            "prediction": {**vars(self.prediction), "reading": vars(self.prediction.reading)},
            "info": self.info,
            "names": vars(self.names),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record), encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: str | Path, graph: dgl.DGLGraph | None = None) -> Explanation:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : path
        graph : dgl.DGLGraph, optional
            The whole graph, if it is wanted as ``.graph``.

        Raises
        ------
        GraphKitError
            If the file is missing or is no explanation.
        """
        try:
            record = json.loads(Path(path).read_text(encoding="utf-8"))
            if record["format_version"] != FORMAT_VERSION:
                raise DataError(f"{path} has format {record['format_version']}; this GraphKit reads {FORMAT_VERSION}")
            target, prediction = record["target"], record["prediction"]
            return cls(
                method=record["method"],
                target=Target(**{**target, "ids": tuple(target["ids"])}),
                prediction=Prediction(**{**prediction, "reading": Reading(**prediction["reading"])}),
                info=record["info"],
                names=Names(**record["names"]),
                graph=graph,
                **{name: _unpack(record[name]) for name in _TENSORS},  # type: ignore[arg-type]
            )
        except OSError as error:
            raise DataError(f"cannot read the explanation {path}: {error.strerror}") from error
        except (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{path} is not an explanation that GraphKit saved") from error

    def require_question(self) -> Question:
        """Return the question, or say that a stored explanation has none."""
        if self.question is None:
            raise GraphKitError("this explanation was loaded from a file and has no model; run gk.explain again")
        return self.question


_TENSORS = (
    *("node_mask", "edge_mask", "feat_mask", "nodes", "hops", "edges", "src", "dst", "group"),
    *("effect", "node_feat", "node_classes", "node_top"),
)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %" if 0.0005 < value < 0.9995 else f"{100 * value:.3g} %"


def _pack(value: Tensor | None) -> dict[str, Any] | None:
    """Describe a tensor in JSON: dtype, shape and the entries that are not 0."""
    if value is None:
        return None
    flat = value.detach().cpu().reshape(-1).numpy()
    at = np.flatnonzero(flat)
    dense = 2 * len(at) > len(flat)
    return {
        "dtype": str(value.dtype).removeprefix("torch."),
        "shape": list(value.shape),
        "at": None if dense else at.tolist(),
        "values": (flat if dense else flat[at]).tolist(),
    }


def _unpack(record: dict[str, Any] | None) -> Tensor | None:
    if record is None:
        return None
    dtype = {"float32": torch.float32, "float64": torch.float64, "int64": torch.int64}[record["dtype"]]
    values = torch.tensor(record["values"], dtype=dtype)
    if record["at"] is None:
        return values.reshape(record["shape"])
    flat = torch.zeros(int(np.prod(record["shape"], dtype=np.int64)), dtype=dtype)
    flat[torch.tensor(record["at"], dtype=torch.int64)] = values
    return flat.reshape(record["shape"])
