"""``graphkit explain``: why a run answers as it does, as a table, a page and a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphkit.cli import parse
from graphkit.cli.output import emit_json, show_pairs, show_table
from graphkit.core.errors import GraphKitError


@dataclass(frozen=True)
class Question:
    """What the user wants explained, and how."""

    node: int | None
    pair: str | None
    graph: int | None
    method: str
    top: int
    seed: int
    words: list[str]
    out: Path | None

    def target(self) -> dict[str, Any]:
        """Return the target as an argument of ``gk.explain``.

        Raises
        ------
        GraphKitError
            If there is not exactly one.
        """
        pair = None if self.pair is None else parse.one_pair(self.pair)
        found = {"node": self.node, "pair": pair, "graph": self.graph}
        found = {name: value for name, value in found.items() if value is not None}
        if len(found) != 1:
            many = " and ".join(f"--{name}" for name in found)
            raise GraphKitError(
                f"{many} exclude each other; give one of them"
                if found
                else "say what to explain: --node, --pair or --graph"
            )
        return found


def main(run_path: Path | None, question: Question, as_json: bool) -> None:
    """Explain, write page and picture, print the most important edges."""
    target = question.target()
    folder = parse.run_folder(run_path)
    options = parse.settings(question.words)
    import graphkit as gk
    from graphkit.core import registry

    method = registry.find("explainer", question.method).name
    run = gk.Run.load(folder)
    fitting = {"node": "node", "link": "pair", "triple": "pair", "graph": "graph"}[run.data.task]
    if fitting not in target:
        raise GraphKitError(f"{folder} predicts for {run.data.task}s; explain it with --{fitting}")
    explanation = gk.explain(run, method=method, seed=question.seed, **target, **options)
    name = "-".join([method, *(str(item) for item in _flat(target))])
    place = question.out or folder / "explanations"
    place.mkdir(parents=True, exist_ok=True)
    page, picture = place / f"{name}.html", place / f"{name}.png"
    explanation.to_html(page)
    explanation.plot(picture)
    edges = [record(edge) for edge in explanation.top_edges(question.top)]
    fidelity = explanation.fidelity()
    if as_json:
        answer = {"run": str(folder), "method": method, "target": target, "top_edges": edges, "fidelity": fidelity}
        return emit_json({**answer, "html": str(page), "png": str(picture)})
    show_table(
        f"most important edges for {' '.join(str(item) for item in _flat(target))} ({method})",
        ("from", "to", "importance"),
        ((edge["src"], edge["dst"], f"{edge['importance']:.3f}") for edge in edges),
        right=("from", "to", "importance"),
    )
    show_pairs([(str(key), f"{value:.3f}" if isinstance(value, float) else value) for key, value in plain(fidelity)])
    print(f"page:    {page}\npicture: {picture}")
    return None


def _flat(target: dict[str, Any]) -> list[Any]:
    (name, value), *_ = target.items()
    return [name, *(value if isinstance(value, tuple) else (value,))]


def plain(fidelity: Any) -> list[tuple[str, Any]]:
    """Return a fidelity record as pairs of name and value."""
    record = fidelity if isinstance(fidelity, dict) else getattr(fidelity, "__dict__", {"fidelity": fidelity})
    return [(f"fidelity {key}".replace("fidelity fidelity", "fidelity"), value) for key, value in record.items()]


def record(edge: Any) -> dict[str, Any]:
    """Return one important edge as a mapping with ``src``, ``dst`` and ``importance``."""
    src, dst, importance = edge[:3]
    return {"src": int(src), "dst": int(dst), "importance": float(importance)}
