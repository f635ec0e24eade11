"""``graphkit explain``: why a run answers as it does, as a table, a page and a picture."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphkit.cli import parse
from graphkit.cli.output import emit_json, say, show_table
from graphkit.core.errors import GraphKitError

#: Edges that are printed, and measured, unless another number is asked for.
TOP = 10
PICTURES = {".png", ".svg", ".pdf", ".jpg"}


@dataclass(frozen=True)
class Question:
    """What the user wants explained, and how."""

    node: int | None
    pair: str | None
    graph: int | None
    relation: int | None
    method: str
    compare: str | None
    top: int | None
    seed: int
    words: list[str]
    out: Path | None
    time: float | None = None

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
        if self.relation is not None:
            found["rel"] = self.relation
        return found


def main(run_path: Path | None, question: Question, as_json: bool) -> None:
    """Explain, write page and picture, print the most important edges; with the method ``list``, show all methods."""
    if question.method == "list":
        return list_explainers(as_json)
    target = question.target()
    folder = parse.run_folder(run_path)
    options = parse.settings(question.words)
    import graphkit as gk
    from graphkit.core import registry
    from graphkit.explain.api import _ASK
    from graphkit.explain.carriers import carriers, carriers_sentence

    methods = [registry.find("explainer", name).name for name in (question.method, question.compare) if name]
    if len(set(methods)) < len(methods):
        raise GraphKitError(f"--compare {methods[1]} is the method itself; name another, such as: --compare saliency")
    run = gk.Run.load(folder)
    _check_fits(run.data.task, target, folder)
    if run.data.task == "temporal-link":
        return _past(gk.explain(run, time=question.time, **target, **options), question, folder, target, as_json)
    if question.time is not None:
        raise GraphKitError(f"--time goes with runs on streams; {folder} is of {run.data.name} ({run.data.task})")
    explanation = gk.explain(run, method=methods[0], seed=question.seed, **target, **options)
    asked = {name: value for name, value in options.items() if name in _ASK}
    other = gk.explain(run, method=methods[1], seed=question.seed, **target, **asked) if methods[1:] else None
    top = min(question.top or TOP, explanation.num_edges)
    if question.top is not None and question.top > explanation.num_edges:
        told = f"{question.top} edges were asked for; {explanation.num_edges} can matter for {explanation.target}"
        print(f"note: {told}", file=sys.stderr)
    shown = [explanation] if other is None else [explanation, other]
    found = [_findings(each, top) for each in shown]
    places = _places(question.out, folder, "-".join(["-vs-".join(methods), *(str(item) for item in _flat(target))]))
    if "html" in places:
        explanation.to_html(places["html"], compare=other)
    if "png" in places:
        explanation.plot(places["png"])
    carried = carriers_sentence(explanation) if "pair" in target and explanation.num_edges else ""
    if as_json:
        answer = {"run": str(folder), "method": methods[0], "target": target, **found[0]}
        if other is not None:
            answer["compare"] = {"method": methods[1], **found[1]}
        if carried:
            answer["carriers"] = carriers(explanation).to_dict("records")
        return emit_json({**answer, **{kind: str(path) for kind, path in places.items()}})
    say(explanation.summary())
    if carried:
        say(carried)
    _print_findings(shown, found)
    names = {"html": "page:    ", "png": "picture: "}
    print("\n".join(names[kind] + str(path) for kind, path in places.items()))
    return None


def _past(explanation: Any, question: Question, folder: Path, target: dict[str, Any], as_json: bool) -> None:
    """Show which past events made the score of a pair at a time."""
    when = f"at-{explanation.time:g}"
    places = _places(question.out, folder, "-".join(["past", *(str(item) for item in _flat(target)), when]))
    if "html" in places:
        explanation.to_html(places["html"])
    if "png" in places:
        explanation.plot(places["png"])
    top = question.top or TOP
    table, fidelity = explanation.top_events(top), explanation.fidelity(top)
    if as_json:
        answer = {"run": str(folder), "method": "past", "target": target, "time": explanation.time}
        answer |= {"probability": explanation.probability, "top_events": table.to_dict("records"), "fidelity": fidelity}
        return emit_json({**answer, **{kind: str(path) for kind, path in places.items()}})
    say(explanation.summary())
    if len(table):
        rows = [[*row[:3], f"{row[3]:g}", f"{row[4]:+.4f}"] for row in table.itertuples(index=False, name=None)]
        show_table("", table.columns.tolist(), rows, right=table.columns.tolist())
        say(f"Without these {len(table)} the probability is {fidelity['probability'] - fidelity['plus']:.3f}.")
    names = {"html": "page:    ", "png": "picture: "}
    print("\n".join(names[kind] + str(path) for kind, path in places.items()))
    return None


def _check_fits(task: str, target: dict[str, Any], folder: Path) -> None:
    fitting = {"node": "node", "graph": "graph"}.get(task, "pair")
    if fitting not in target:
        raise GraphKitError(f"{folder} predicts for {task}s; explain it with --{fitting}")
    if (task == "triple") != ("rel" in target):
        raise GraphKitError("--relation goes with triples, and triples need it, such as: --pair 3,4 --relation 0")


def _places(out: Path | None, folder: Path, name: str) -> dict[str, Path]:
    """Return where page and picture go: into a folder under a name that says what they show, or one file as named."""
    if out is not None and out.suffix.lower() in {".html", ".htm"}:
        return {"html": out}
    if out is not None and out.suffix.lower() in PICTURES:
        return {"png": out}
    place = out or folder / "explanations"
    if place.is_file():
        raise GraphKitError(f"--out {place} is a file; expected a folder, a page such as why.html or a picture (.png)")
    return {"html": place / f"{name}.html", "png": place / f"{name}.png"}


def _findings(explanation: Any, top: int) -> dict[str, Any]:
    """Return the weightiest edges, and the answer with them alone and without them."""
    fidelity = explanation.fidelity(k=top)
    value = fidelity["probability"]
    return {
        "top_edges": explanation.top_edges(top).to_dict("records"),
        "fidelity": fidelity,
        "sufficient": value - fidelity["minus"],
        "necessary": value - fidelity["plus"],
    }


def _print_findings(shown: list[Any], found: list[dict[str, Any]]) -> None:
    edges = found[0]["top_edges"]
    if not edges:
        return say("No edge can matter: nothing of the graph leads to this answer.")
    names = [each.method for each in shown]
    columns = ("from", "to", "importance") if len(shown) == 1 else ("from", "to", *names)
    rows = [
        [edge["src"], edge["dst"], *(f"{float(each.edge_mask[edge['edge']]):.3f}" for each in shown)] for edge in edges
    ]
    show_table(f"what it rests on most ({' beside '.join(names)})", columns, rows, right=columns)
    what = "value" if shown[0].prediction.reading.mode == "regression" else "probability"
    its = "these" if len(shown) == 1 else "the method's"
    whole = found[0]["fidelity"]["probability"]
    show_table(
        f"the {what}, {whole:.3f} on the whole graph, with and without {its} {len(edges)} edges",
        ("method", "without them", "them alone", "fidelity+", "fidelity-"),
        [
            [name, *(f"{value:.3f}" for value in (each["necessary"], each["sufficient"])),
             *(f"{each['fidelity'][side]:+.3f}" for side in ("plus", "minus"))]
            for name, each in zip(names, found, strict=True)
        ],
        right=("without them", "them alone", "fidelity+", "fidelity-"),
    )  # fmt: skip
    return None


def list_explainers(as_json: bool) -> None:
    """Print every registered explainer with its first sentence and its paper."""
    from graphkit.cli.listing import summary
    from graphkit.core import registry

    found = registry.entries("explainer").values()
    if as_json:
        return emit_json(
            [{"name": e.name, "title": e.title, "arxiv": e.arxiv, "summary": summary(e.obj)} for e in found]
        )
    show_table("Explainers", ("name", "arXiv", "what it does"), [(e.name, e.arxiv, summary(e.obj)) for e in found])
    return None


def _flat(target: dict[str, Any]) -> list[Any]:
    (name, value), *rest = target.items()
    return [name, *(value if isinstance(value, tuple) else (value,)), *(item for pair in rest for item in pair)]
