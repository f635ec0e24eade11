"""What a training gives: the model at its best epoch, its metrics, and its files."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graphkit.core.batch import Pairs
from graphkit.core.errors import GraphKitError
from graphkit.core.spec import Spec
from graphkit.fit.asked import as_pairs, at_times, open_ends
from graphkit.fit.folder import FORMAT_VERSION, Folder, plain
from graphkit.fit.loop import evaluate as score
from graphkit.fit.settings import Settings, computing, resolve_device
from graphkit.tasks import find_task

if TYPE_CHECKING:
    import pandas as pd

    from graphkit.data import Dataset
    from graphkit.tasks.base import Task


def describe(model: nn.Module, data: Dataset, task: Task, settings: Settings) -> dict[str, Any]:
    """Return what ``config.yaml`` holds: all that a run depends on."""
    name = getattr(model, "name", None) or None
    spec = getattr(model, "spec", None) or data.spec()
    return plain(
        {
            "format_version": FORMAT_VERSION,
            "model": {
                "name": name,
                "class": type(model).__qualname__,
                "arguments": getattr(model, "arguments", {}) or {},
                "spec": spec.as_dict() if isinstance(spec, Spec) else spec,
            },
            "dataset": {
                "name": data.name,
                "card": card_id(data),
                "task": data.task,
                "split": {
                    "name": data.split_name,
                    "seed": data.split_seed,
                    "options": data.split_options,
                    "hash": data.split_hash,
                },
                "transforms": list(getattr(data, "transform_names", ())),
                "reader": dict(getattr(data, "reader_options", {})),
                "checksums": data.checksums,
                "fingerprint": data.fingerprint(),
                **({"folder": str(data.root.resolve())} if hasattr(data, "root") else {}),
            },
            "task": {"name": task_name(task), "options": task.options},
            "training": {name: value for name, value in settings.as_dict().items() if name != "seed"},
            "seed": settings.seed,
        }
    )


def card_id(data: Dataset) -> str | None:
    """Return the name under which ``gk.load`` finds the dataset, None for the user's own."""
    from graphkit.data import card

    try:
        return data.card.name if data.card.reader and card(data.card.name).reader == data.card.reader else None
    except GraphKitError:
        return None


def task_name(task: Task) -> str:
    """Return the registered name of the task's class, or the class's own."""
    return find_task(type(task)) or type(task).__qualname__


def check_dataset(config: dict[str, Any], data: Dataset, where: str) -> None:
    """Raise unless ``data`` is what the run was trained on: same name, task, split and content."""
    was = config["dataset"]
    now = {"name": data.name, "task": data.task, "split": data.split_hash, "content": data.fingerprint()}
    then = {"name": was["name"], "task": was["task"], "split": was["split"]["hash"], "content": was["fingerprint"]}
    if (now["name"], now["task"]) != (then["name"], then["task"]):
        raise GraphKitError(
            f"the run in {where} is of dataset {then['name']!r} ({then['task']}), "
            f"not of {now['name']!r} ({now['task']})"
        )
    if now["split"] != then["split"]:
        raise GraphKitError(
            f"the run in {where} was trained on split {was['split']['name']!r} seed {was['split']['seed']} of "
            f"{was['name']}; the given split {data.split_name!r} seed {data.split_seed} holds other examples"
        )
    if now["content"] != then["content"]:
        raise GraphKitError(f"the run in {where} was trained on {was['name']} with other content than the given data")


@dataclass
class Run:
    """A trained model with its data, task, metrics and files.

    Parameters
    ----------
    model : nn.Module
        With the weights of the best validation epoch.
    data : Dataset
    task : Task
    metrics : dict of str to float
        Scores at the best epoch, such as ``"val/accuracy"`` and ``"test/accuracy"``.
    rows : list of dict
        One for each epoch.
    config : dict
        What the run depends on, as ``config.yaml`` holds it.
    epoch : int
        The best epoch, from 0.
    path : Path, optional
        The run's folder; None while it lives in memory only.

    Examples
    --------
    >>> import graphkit as gk
    >>> run = gk.fit("mlp", gk.load("karate"), epochs=2, progress=False)
    >>> run.predict(nodes=[0, 33]).shape, len(run.history)
    (torch.Size([2, 2]), 2)
    """

    model: nn.Module
    data: Dataset
    task: Task
    metrics: dict[str, float]
    rows: list[dict[str, Any]] = field(repr=False)
    config: dict[str, Any] = field(repr=False)
    epoch: int = -1
    path: Path | None = None

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v:.4f}" for k, v in self.metrics.items() if k.startswith("test/"))
        name = self.config["model"]["name"] or type(self.model).__name__
        return f"Run({name} on {self.data.name}, epoch {self.epoch}: {shown})"

    @property
    def history(self) -> pd.DataFrame:
        """One row for each epoch."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    @property
    def precision(self) -> str:
        """The precision that the run was trained in."""
        return str(self.config["training"].get("precision", "32"))

    def predict(
        self,
        nodes: Any = None,
        pairs: Any = None,
        graphs: Any = None,
        data: Dataset | None = None,
        logits: bool = False,
        times: Any = None,
        smiles: Any = None,
    ) -> Tensor:
        """Return predictions for nodes, pairs or graphs; for everything when none are named.

        Parameters
        ----------
        nodes, graphs : ids
            int64 ``[T]``, a list or one number.
        pairs : Pairs, tensor or list
            ``Pairs``, int64 ``[P, 2]`` or ``[P, 3]`` (source, relation, target), or a list of tuples.
        data : Dataset, optional
            Other data than the run's own, with features of the same width.
        logits : bool
            Raw outputs in place of probabilities.
        times : array_like, optional
            Of streams: when each pair is asked for, ``[P]`` or one number; just after the last event without.
        smiles : str or sequence of str, optional
            New molecules in place of graphs, for a run that was trained on molecules.

        Returns
        -------
        Tensor
            Class probabilities ``[T, C]``, link probabilities ``[P]``, or values.

        Raises
        ------
        GraphKitError
            If the ids are not what the task predicts, or out of range; or a SMILES does not parse.
        """
        if smiles is not None:
            from graphkit.data.molecules import molecules_like

            data = molecules_like(self.data, smiles)
        named = {"node": nodes, "link": pairs, "graph": graphs}
        level = {"triple": "link", "temporal-link": "link"}.get(self.task.level, self.task.level)
        for kind, value in named.items():
            if value is not None and kind != level:
                raise GraphKitError(f"this run predicts {level}s, not {kind}s; it was trained for the {level} task")
        what = named[level]
        if what is not None:
            what = as_pairs(what) if level == "link" else torch.as_tensor(what, dtype=torch.int64).reshape(-1)
        if times is not None:
            what = at_times(what, times, self.task.level)
        task = self.task if data is None else self.task.on(data)
        self.model.eval()
        weight = next(iter(self.model.parameters()), None)
        device = torch.device("cpu") if weight is None else weight.device
        with torch.no_grad(), computing(self.precision, device):
            pred = task.predict(self.model, what)
        pred = pred.float() if pred.dtype == torch.bfloat16 else pred
        return pred if logits else self.task.activate(pred)

    def top_links(
        self, node: int, k: int = 10, *, rel: int | None = None, known: bool = False, data: Dataset | None = None
    ) -> pd.DataFrame:
        """Return the k nodes that ``node`` is most likely linked with, those it is known to be linked with left out.

        Known are the links of the message graph and the training split; links held out for validation and test are
        candidates like any others. In a bipartite graph the candidates are the nodes of the other side.

        Parameters
        ----------
        node : int
            The source.
        k : int
            How many; fewer come where there are fewer candidates.
        rel : int, optional
            The relation, for triples.
        known : bool, default False
            Keep known links among the candidates.
        data : Dataset, optional
            Other data than the run's own.

        Returns
        -------
        pandas.DataFrame
            ``node``, ``probability`` and ``score`` (before the sigmoid), the best first; no ``probability`` where the
            task has none.

        Raises
        ------
        GraphKitError
            If the run predicts no links, the node is out of range, or a relation is missing or out of place.

        Examples
        --------
        >>> import graphkit as gk
        >>> run = gk.fit("gae", gk.load("karate", task="link"), epochs=2, progress=False)
        >>> run.top_links(0, k=3).columns.tolist()
        ['node', 'probability', 'score']
        """
        import pandas as pd

        task = self.task if data is None else self.task.on(data)
        if task.data.task not in ("link", "triple"):
            raise GraphKitError(f"this run predicts {task.level}s, not links; top_links needs one trained for links")
        if (rel is None) == (task.data.task == "triple"):
            raise GraphKitError("top_links of triples needs the relation, rel=0; links of one kind take none")
        candidates = open_ends(task.data, int(node), rel, known)
        which = None if rel is None else torch.full_like(candidates, rel)
        pairs = Pairs(torch.full_like(candidates, int(node)), candidates, which)
        score = self.predict(pairs=pairs, data=data, logits=True).reshape(-1)
        best = score.argsort(descending=True, stable=True)[: max(k, 0)]
        columns = {"node": candidates, "probability": task.activate(score), "score": score}
        if not task.gives_probabilities:
            columns.pop("probability")
        return pd.DataFrame({name: value.cpu()[best.cpu()].numpy() for name, value in columns.items()})

    def evaluate(self, split: str = "test", data: Dataset | None = None) -> dict[str, float]:
        """Return the scores on ``split`` of the run's data, or of ``data``."""
        task = self.task if data is None else self.task.on(data)
        return score(task, self.model, split, self.precision)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the run's folder, without a checkpoint, and return its path.

        Raises
        ------
        GraphKitError
            If the folder holds a run already or cannot be written.
        """
        folder = Folder(path)
        if folder.exists:
            raise GraphKitError(f"{folder.path} holds a run already; choose another folder")
        folder.write_config(self.config)
        self.write(folder)
        return folder.path

    def write(self, folder: Folder) -> None:
        """Write what is known only at the end: history, weights, result."""
        folder.write_history(self.rows)
        folder.write_weights(self.model.state_dict())
        folder.write_result({"epoch": self.epoch, "metrics": self.metrics})
        self.path = folder.path

    @staticmethod
    def load(
        path: str | os.PathLike[str],
        data: Dataset | None = None,
        *,
        model: nn.Module | None = None,
        task: Task | None = None,
        device: str = "cpu",
    ) -> Run:
        """Read a run back; it predicts the same numbers.

        Parameters
        ----------
        path : path-like
            The run's folder.
        data : Dataset, optional
            The data that it was trained on; loaded by name when None.
        model : nn.Module, optional
            For a model that no registered name builds: a module of the same shape, which takes the weights.
        task : Task, optional
            For a task of the user's own class.
        device : str

        Raises
        ------
        GraphKitError
            If the folder holds no finished run of this model, dataset and split, or its format is unknown.
        """
        folder = Folder(path)
        config = folder.config()
        if not folder.finished:
            raise GraphKitError(f"the run in {folder.path} is unfinished; fit with resume=True to end it")
        data = reload_data(config) if data is None else data
        check_dataset(config, data, str(folder.path))
        task = reload_task(config, data) if task is None else task
        model = reload_model(config) if model is None else model
        if config["training"].get("precision") == "64":
            model.double()
        try:
            model.load_state_dict(folder.weights())
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise GraphKitError(f"the weights in {folder.path} are of another model: {reason}") from error
        model.to(resolve_device(device)).eval()
        task.prepare(model)
        result = folder.result()
        return Run(model, data, task, result["metrics"], folder.history(), config, result["epoch"], folder.path)


def reload_data(config: dict[str, Any]) -> Dataset:
    """Load the dataset that ``config`` names."""
    from graphkit.data import load

    was = config["dataset"]
    split = was["split"]
    if was.get("folder"):
        return load(was["folder"])
    if was["card"] is None or split["name"] == "given":
        what = f"{was['name']!r} is no dataset that loads by name"
        if was["card"] is not None:
            what = f"the split of {was['name']} was given by ids"
        raise GraphKitError(f"{what}; give the data: Run.load(path, data=...)")
    return load(
        was["name"],
        split=split["name"],
        seed=split["seed"],
        task=was["task"],
        transform=was.get("transforms", ()),
        **{**was.get("reader", {}), **split.get("options", {})},
    )


def reload_task(config: dict[str, Any], data: Dataset) -> Task:
    """Make the task that ``config`` names."""
    from graphkit.core.registry import entries

    name = config["task"]["name"]
    if name not in entries("task"):
        raise GraphKitError(f"the run's task {name} is not registered; give it: Run.load(path, task=...)")
    return entries("task")[name].obj(data, **config["task"]["options"])


def reload_model(config: dict[str, Any]) -> nn.Module:
    """Build the model that ``config`` names."""
    from graphkit.models import build

    was = config["model"]
    if was["name"] is None:
        raise GraphKitError(
            f"the run's model {was['class']} has no registered name; give it: Run.load(path, model=...)"
        )
    return build(was["name"], Spec(**was["spec"]), **was["arguments"])
