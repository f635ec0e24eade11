"""The commands and their options; what they do lies in the modules beside this one, imported when asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

app = typer.Typer(
    name="graphkit",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Load a graph, train a node, link or graph predictor on it, and ask it why.",
    epilog="First steps: graphkit demo · graphkit datasets · graphkit train digits",
)
bench = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Measure published systems; set the numbers beside the papers'.",
)
app.add_typer(bench, name="bench")

T = TypeVar("T", bound=Callable[..., None])
#: Every command line that the help shows; the tests run the parser over them.
EXAMPLES: list[str] = []

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Run = Annotated[Path | None, typer.Argument(metavar="RUN", help="Run folder; the newest in ./runs if left out.")]
Folder = Annotated[
    Path | None, typer.Option("--folder", help="Folder with recipes/ and results/.", show_default="./benchmarks")
]
Split = Annotated[str | None, typer.Option(metavar="NAME", help="Name of the split.", show_default="the card's")]
ModelArguments = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An argument of the model; repeatable.")
]
DataOptions = Annotated[
    list[str] | None, typer.Option("--data", metavar="NAME=VALUE", help="An option of the dataset; repeatable.")
]
Names = Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Recipes; all if left out.")]


def _command(owner: typer.Typer, name: str, short: str, *examples: str) -> Callable[[T], T]:
    """Register a command whose help is its docstring and these examples, one to a line."""

    def add(function: T) -> T:
        head = " ".join((function.__doc__ or "").split())
        text = "\n".join(f"  {example}" for example in examples)
        owner.command(name, short_help=short, help=f"{head}\n\n[bold]Examples[/bold]\n\n\b\n{text}")(function)
        return function

    EXAMPLES.extend(examples)
    return add


def _version(asked: bool) -> None:
    if asked:
        from graphkit import __version__

        typer.echo(f"graphkit {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Load a graph, train a node, link or graph predictor on it, and ask it why."""


@_command(
    app,
    "demo",
    "Train two predictors on digits, explain one answer.",
    "graphkit demo",
    "graphkit demo --out mine --json",
)
def demo(
    out: Annotated[Path, typer.Option(help="Where runs and pictures go.")] = Path("graphkit-demo"),
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of splits and training.")] = 0,
    as_json: Json = False,
) -> None:
    """Train two predictors on handwritten digits and explain one answer, in under a minute."""
    from graphkit.cli.demo import main

    main(out, seed, as_json)


@_command(
    app,
    "datasets",
    "List the datasets known by name.",
    "graphkit datasets",
    "graphkit datasets --task link --max-nodes 5000 --cached",
    "graphkit datasets --licence MIT --verified --json",
)
def datasets(
    task: Annotated[str | None, typer.Option(metavar="TASK", help="Only those with this task, such as node.")] = None,
    max_nodes: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only those with at most so many nodes in all.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only those whose licence contains this text.")
    ] = None,
    cached: Annotated[
        bool | None, typer.Option("--cached/--not-cached", help="Only those that need no (or a) download now.")
    ] = None,
    verified: Annotated[
        bool | None, typer.Option("--verified/--unverified", help="Only those counted in the authors' files, or not.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the datasets that GraphKit loads by name; JSON keeps verified and unverified ones apart."""
    from graphkit.cli.datasets import Filter, list_datasets

    list_datasets(Filter(task, max_nodes, licence, cached, verified), as_json)


@_command(
    app,
    "info",
    "Tell what is known of a dataset, model or layer.",
    "graphkit info cora",
    "graphkit info chameleon --computed",
    "graphkit info GATConv",
    "graphkit info gat --json",
)
def info(
    name: Annotated[str, typer.Argument(help="A dataset, model, explainer or layer.")],
    computed: Annotated[
        bool | None,
        typer.Option(
            "--computed/--card-only", help="Count in the files, or do not.", show_default="if they are at hand"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell what is known of a dataset, model or layer: source, splits, traps, counts, formula, reported numbers."""
    from graphkit.cli.listing import show_info

    show_info(name, computed, as_json)


@_command(
    app,
    "audit",
    "Tell what to know of a dataset before training.",
    "graphkit audit chameleon",
    "graphkit audit imdb-binary --split random --seed 1",
    "graphkit audit wn18rr --json",
)
def audit(
    name: Annotated[str, typer.Argument(help="A name from: graphkit datasets.")],
    task: Annotated[
        str | None, typer.Option(metavar="TASK", help="Such as node or link.", show_default="the dataset's own")
    ] = None,
    split: Split = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the split.")] = 0,
    unverified: Annotated[bool, typer.Option("--unverified", help="Accept files without a checksum.")] = False,
    as_json: Json = False,
) -> None:
    """Look for duplicates across the split, leaked labels, isolated nodes, repeats; and score a trivial baseline."""
    from graphkit.cli.datasets import show_audit

    show_audit(name, task, split, seed, not unverified, as_json)


@_command(
    app,
    "models",
    "List the systems that can be trained by name.",
    "graphkit models",
    "graphkit models --level link --json",
)
def models(
    level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="Only those for this level, such as node or temporal-link.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the systems that can be trained by name, each with its paper."""
    from graphkit.cli.listing import list_models

    list_models(level, as_json)


@_command(
    app,
    "layers",
    "List the layers and pools of graphkit.nn.",
    "graphkit layers",
    "graphkit layers --family hypergraph --json",
)
def layers(
    family: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only convolution, relational, hypergraph, global or pool."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the layers and pools of graphkit.nn, a line each, with their papers."""
    from graphkit.cli.layers import list_layers

    list_layers(family, as_json)


@_command(
    app,
    "train",
    "Train a system on a dataset; keep a run folder.",
    "graphkit train cora --model gcn",
    "graphkit train cora --task link --model gae --epochs 200 --seed 1",
    "graphkit train mutag --model gin --set hidden=32 --out runs/mine",
    "graphkit train my-graph --model sage --memory-budget 2GB",
)
def train(
    dataset: Annotated[str, typer.Argument(help="A name from: graphkit datasets; or a graph on disk, its folder.")],
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="A name from: graphkit models.", show_default="by task")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(metavar="TASK", help="node, link, graph or triple.", show_default="the dataset's own"),
    ] = None,
    split: Split = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many.", show_default="the paper's")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(min=0.0, metavar="X", help="Learning rate.", show_default="the paper's")
    ] = None,
    weight_decay: Annotated[float | None, typer.Option(min=0.0, metavar="X", help="L2 strength.")] = None,
    patience: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Stop after so many epochs without gain.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, metavar="N", help="Whole graph at once if left out.")] = None,
    memory_budget: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Such as 2GB, for features and batches; the rest is packed on disk."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the split and of training.")] = 0,
    transform: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Such as normalize-features or laplacian-pe; repeatable.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda or auto.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, metavar="N", help="Processes that share each batch, on the CPU.")] = 1,
    set_: ModelArguments = None,
    data: DataOptions = None,
    out: Annotated[Path | None, typer.Option(help="Run folder.", show_default="runs/MODEL-DATASET-TASK")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last finished epoch.")] = False,
    as_json: Json = False,
) -> None:
    """Train a system on a dataset, keep it as a run folder, print its numbers beside the paper's."""
    from graphkit.cli.train import Request, main

    fit: dict[str, object] = {"epochs": epochs, "lr": lr, "weight_decay": weight_decay, "patience": patience}
    fit |= {"batch_size": batch_size, "memory_budget": memory_budget, "devices": devices}
    main(
        Request(dataset, model, task, split, seed, fit, device, set_ or [], data or [], transform or [], out, resume),
        as_json,
    )


@_command(
    app,
    "partition",
    "Cut a graph into parts for several machines.",
    "graphkit partition cora --parts 4",
    "graphkit partition cora --parts 4 --hops 3 --out parts",
)
def partition(
    dataset: Annotated[str, typer.Argument(help="A name from: graphkit datasets; or a graph on disk, its folder.")],
    parts: Annotated[int, typer.Option(min=1, metavar="N", help="How many.")] = 2,
    hops: Annotated[int, typer.Option(min=0, metavar="N", help="Layers of the encoder, which the halo is for.")] = 2,
    out: Annotated[Path | None, typer.Option(help="A folder for the parts, or FILE.npy for each node's.")] = None,
    data: DataOptions = None,
    as_json: Json = False,
) -> None:
    """Cut a graph into parts with few edges between them (METIS), and print what each would hold and fetch."""
    from graphkit.cli.partition import main

    main(dataset, parts, hops, out, data or [], as_json)


@_command(
    app,
    "predict",
    "Predict with a trained run.",
    "graphkit predict runs/gcn-cora-node --nodes 0,1,2",
    "graphkit predict runs/gae-cora-link --pairs 1-2,3-4 --json",
    "graphkit predict runs/ncn-cora-link --links-of 17 --top 5",
    "graphkit predict runs/mpnn-esol-graph --smiles CCO,c1ccccc1",
    "graphkit predict --out predictions.csv",
)
def predict(
    run: Run = None,
    nodes: Annotated[str | None, typer.Option(metavar="IDS", help="Node ids: 0,1,2 or 0-9.")] = None,
    pairs: Annotated[
        str | None, typer.Option(metavar="PAIRS", help="Node pairs: 1-2,3-4; head-relation-tail for triples.")
    ] = None,
    times: Annotated[str | None, typer.Option(metavar="TIMES", help="Of streams: when each pair meets, 7,8.")] = None,
    graphs: Annotated[str | None, typer.Option(metavar="IDS", help="Graph ids: 0,1,2 or 0-9.")] = None,
    links_of: Annotated[
        int | None, typer.Option(min=0, metavar="ID", help="Node whose likeliest new links are wanted.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="How many of them.")] = 10,
    relation: Annotated[int | None, typer.Option(min=0, metavar="ID", help="Their relation, for triples.")] = None,
    smiles: Annotated[str | None, typer.Option(metavar="SMILES", help="New molecules: CCO,c1ccccc1.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write a CSV file instead of printing.")] = None,
    as_json: Json = False,
) -> None:
    """Predict with a trained run; the test part of its split if nothing is named."""
    from graphkit.cli.predict import Links, main

    links = None if links_of is None else Links(links_of, top, relation)
    main(run, nodes, pairs, graphs, out, as_json, links, smiles, times)


@_command(
    app,
    "explain",
    "Ask a trained run why; writes HTML and PNG.",
    "graphkit explain runs/gcn-cora-node --node 17",
    "graphkit explain runs/gae-cora-link --pair 3,44 --compare saliency",
    "graphkit explain --graph 5 --method goat --out page.html --json",
    "graphkit explain runs/tgn-uslegis-temporal-link --pair 3,44 --time 11",
)
def explain(
    run: Run = None,
    node: Annotated[int | None, typer.Option(min=0, metavar="ID", help="Node id.")] = None,
    pair: Annotated[str | None, typer.Option(metavar="U,V", help="Two node ids: 3,44.")] = None,
    graph: Annotated[int | None, typer.Option(min=0, metavar="ID", help="Graph id.")] = None,
    relation: Annotated[int | None, typer.Option(min=0, metavar="ID", help="Its relation, for triples.")] = None,
    time: Annotated[float | None, typer.Option(metavar="T", help="When the pair may meet, for streams.")] = None,
    method: Annotated[
        str, typer.Option(metavar="NAME", help="Explainer: gnnexplainer, goat, ...; 'list' shows all.")
    ] = "gnnexplainer",
    compare: Annotated[str | None, typer.Option(metavar="NAME", help="A second explainer, shown beside it.")] = None,
    top: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many edges to print; 10 if left out.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the explainer.")] = 0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An option of the explainer; repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for page and picture, or one file: page.html.")] = None,
    as_json: Json = False,
) -> None:
    """Ask a trained run why it answers as it does; writes a page (HTML) and a picture (PNG)."""
    from graphkit.cli.explain import Question, main

    main(run, Question(node, pair, graph, relation, method, compare, top, seed, set_ or [], out, time), as_json)


@_command(
    app,
    "doctor",
    "Check that DGL and PyTorch work together.",
    "graphkit doctor",
    "graphkit doctor --hook",
    "graphkit doctor --json",
)
def doctor(
    hook: Annotated[
        bool, typer.Option("--hook", help="Let every program here import dgl beside this PyTorch.")
    ] = False,
    unhook: Annotated[bool, typer.Option("--unhook", help="Remove what --hook wrote.")] = False,
    as_json: Json = False,
) -> None:
    """Check that DGL and PyTorch work together here; exit code 1 if something does not."""
    from graphkit.cli.checkup import main

    main(hook, unhook, as_json)


@_command(
    bench,
    "run",
    "Run recipes; one JSON file each.",
    "graphkit bench run gcn-cora",
    "graphkit bench run --force gat-cora --seeds 0-9",
)
def bench_run(
    names: Names = None,
    folder: Folder = None,
    seeds: Annotated[str | None, typer.Option(metavar="IDS", help="Other seeds than the recipe's: 0,1 or 0-4.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Measure again what has been measured.")] = False,
    as_json: Json = False,
) -> None:
    """Run recipes; one JSON file each, kept after every seed, so that a stopped run goes on."""
    from graphkit.cli.benching import run_recipes

    run_recipes(names, folder, seeds, force, as_json)


@_command(
    bench,
    "explain",
    "Compare all explainers on known causes.",
    "graphkit bench explain ba-shapes",
    "graphkit bench explain --seeds 0",
)
def bench_explain(
    names: Names = None,
    folder: Folder = None,
    seeds: Annotated[str | None, typer.Option(metavar="IDS", help="Other seeds than the recipe's: 0,1 or 0-4.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Measure again what has been measured.")] = False,
    as_json: Json = False,
) -> None:
    """Run every explainer on datasets whose causes are known; writes EXPLAINERS.md from the JSON files."""
    from graphkit.cli.benching import run_explainers

    run_explainers(names, folder, seeds, force, as_json)


@_command(
    bench,
    "report",
    "Write RESULTS.md from the JSON files.",
    "graphkit bench report",
    "graphkit bench report --json",
)
def bench_report(folder: Folder = None, as_json: Json = False) -> None:
    """Write RESULTS.md, every measured number beside the paper's, and the tables of the README beside it."""
    from graphkit.cli.benching import report_results

    report_results(folder, as_json)


@_command(
    bench,
    "check",
    "Run quick recipes again; fail on drift.",
    "graphkit bench check",
    "graphkit bench check gcn-cora --json",
)
def bench_check(names: Names = None, folder: Folder = None, as_json: Json = False) -> None:
    """Run one seed of the quick recipes again; exit code 1 if a number moved away from its record."""
    from graphkit.cli.benching import check_results

    check_results(names, folder, as_json)


from graphkit.cli import scale as scale  # noqa: E402  its commands need what is above
