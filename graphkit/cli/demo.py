"""``graphkit demo``: two predictors on handwritten digits, each beside a baseline, and one answer explained."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from graphkit.cli.output import emit_json, show_table


def main(out: Path, seed: int, as_json: bool) -> None:
    """Run the demo and say where its pictures lie."""
    start = time.perf_counter()
    say = (lambda *words: None) if as_json else print
    say("digits: 1,797 handwritten digits, each linked to the 8x8 pictures most like it\n")
    nodes, node_row = classify(out, seed)
    say(f"1 of 3  node classifier: which digit is it?      accuracy {100 * node_row['score']:.1f} %")
    link_row = link(out, seed)
    say(f"2 of 3  link predictor: are two digits linked?    AUC      {100 * link_row['score']:.1f} %")
    why = explain(nodes, out)
    say(f"3 of 3  explained: why picture {why['node']} is read as a {why['class']}\n")
    seconds = time.perf_counter() - start
    if as_json:
        return emit_json({"rows": [node_row, link_row], "explanation": why, "seconds": round(seconds, 1)})
    show_table(
        "",
        ("task", "metric", "GraphKit", "baseline", "the baseline"),
        (
            (row["task"], row["metric"], f"{100 * row['score']:.1f}", f"{100 * row['baseline']:.1f}", row["what"])
            for row in (node_row, link_row)
        ),
        right=("GraphKit", "baseline"),
    )
    print(f"page:    {why['html']}  (open it in a browser)\npicture: {why['png']}")
    print(f"runs:    {node_row['run']}, {link_row['run']}")
    print(f"took {seconds:.0f} s; next: graphkit datasets")
    return None


def _folder(out: Path, name: str) -> Path:
    """Return ``out/name``, emptied of the files of an earlier demo."""
    import shutil

    folder = out / name
    if (folder / "config.yaml").is_file():
        shutil.rmtree(folder)
    return folder


def classify(out: Path, seed: int) -> tuple[Any, dict[str, Any]]:
    """Train the node classifier and, beside it, a logistic regression that sees no graph."""
    import warnings

    from sklearn.linear_model import LogisticRegression

    import graphkit as gk

    data = gk.load("digits", split="random-per-class", seed=seed)
    folder = _folder(out, "node")
    run = gk.fit("gcn", data, epochs=100, seed=seed, run_dir=folder, progress=False)
    feat, train, test = data.graph.ndata["feat"], data.splits["train"], data.splits["test"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = LogisticRegression(max_iter=500).fit(feat[train].numpy(), data.labels[train].numpy())
    return run, {
        "task": "node",
        "metric": "accuracy",
        "score": run.metrics["test/accuracy"],
        "baseline": float(plain.score(feat[test].numpy(), data.labels[test].numpy())),
        "what": f"logistic regression, no graph, same {len(train)} labels",
        "run": str(folder),
    }


def link(out: Path, seed: int) -> dict[str, Any]:
    """Train the link predictor and, beside it, the count of common neighbours."""
    import graphkit as gk

    data = gk.load("digits", seed=seed, task="link")
    folder = _folder(out, "link")
    options: dict[str, Any] = {"hidden": 64, "decoder": "mlp", "dropout": 0.0}
    run = gk.fit("gcn", data, epochs=60, seed=seed, run_dir=folder, progress=False, **options)
    return {
        "task": "link",
        "metric": "AUC",
        "score": run.metrics["test/auc"],
        "baseline": common_neighbours(data),
        "what": "number of common neighbours",
        "run": str(folder),
    }


def common_neighbours(data) -> float:
    """Return the AUC of ranking the test pairs by how many training neighbours they share."""
    import numpy
    import scipy.sparse
    from sklearn.metrics import roc_auc_score

    src, dst = (part.numpy() for part in data.graph.edges())
    size = data.graph.num_nodes()
    matrix = scipy.sparse.csr_array((numpy.ones(len(src)), (src, dst)), shape=(size, size))
    part = data.splits["test"]
    counts = [matrix[p.src.numpy()].multiply(matrix[p.dst.numpy()]).sum(axis=1) for p in (part.pos, part.neg)]
    truth = [numpy.ones(len(counts[0])), numpy.zeros(len(counts[1]))]
    return float(roc_auc_score(numpy.concatenate(truth), numpy.concatenate(counts)))


def explain(run, out: Path) -> dict[str, Any]:
    """Explain the first correctly read digit of the test part."""
    import graphkit as gk

    test = run.data.splits["test"]
    found = run.predict(nodes=test).argmax(-1)
    node = int(test[found == run.data.labels[test]][0])
    digits, pixels = [f"digit {i}" for i in range(10)], [f"row {i // 8 + 1}, column {i % 8 + 1}" for i in range(64)]
    explanation = gk.explain(run, node=node, class_names=digits, feature_names=pixels)
    page, picture = out / f"why-{node}.html", out / f"why-{node}.png"
    explanation.to_html(page)
    explanation.plot(picture)
    return {"node": node, "class": int(run.data.labels[node]), "html": str(page), "png": str(picture)}
