"""GNNExplainer on the motif nodes of BA-Shapes: all at once here, node by node in PyG, with the same weights.

    python benchmarks/explain/gnnexplainer_speed.py --sample 20 --out benchmarks/explain/gnnexplainer_speed.json

PyG's explainer runs on the whole graph, and on the 3-hop subgraphs of the nodes, for ``--sample`` nodes of them:
its time for all of them is that of the sample times their ratio, and the record says so. One thread; rounds alternate,
the least of them counts, in processor time (other work on the machine does not enter) with the wall time beside it.
Ours has one mask for each direction and PyG's start; the default, one for both from the paper's, is measured beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import graphkit as gk
from graphkit.bench import ledger
from graphkit.data.generate import ba_shapes
from graphkit.explain.agreement import NETWORK, edge_auc, rank_auc, train_ba_shapes


def pyg_network(encoder: nn.Module) -> nn.Module:
    """Return PyG's message passing with the weights of our encoder."""
    from torch_geometric.nn import MessagePassing

    class SumConv(MessagePassing):
        def __init__(self, conv: nn.Module) -> None:
            super().__init__(aggr="add")
            self.weight, self.bias = conv.weight, conv.bias

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            return self.propagate(edge_index, x=x @ self.weight) + self.bias

        def message(self, x_j: Tensor) -> Tensor:
            return x_j

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convs = nn.ModuleList(SumConv(conv) for conv in encoder.convs)
            self.fc = encoder.fc

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            outputs = []
            for i, conv in enumerate(self.convs):
                x = F.normalize(conv(x, edge_index), dim=-1)
                x = x if i == len(self.convs) - 1 else F.relu(x)
                outputs.append(x)
            return self.fc(torch.cat(outputs, -1))

    return Network().eval()


def pyg_explainer(model: nn.Module, epochs: int, lr: float) -> Any:
    """Return PyG's GNNExplainer with edge and feature masks."""
    from torch_geometric.explain import Explainer, GNNExplainer

    return Explainer(
        model,
        GNNExplainer(epochs=epochs, lr=lr),
        explanation_type="model",
        node_mask_type="common_attributes",
        edge_mask_type="object",
        model_config={"mode": "multiclass_classification", "task_level": "node", "return_type": "raw"},
    )


def by_pyg(
    data: Any, model: nn.Module, asked: list[gk.Explanation], epochs: int, lr: float, cut: bool
) -> dict[str, float]:
    """Explain the nodes of our explanations one by one; on their 3-hop subgraphs if ``cut``.

    The AUC is over the edges that can matter, those of our explanations: an edge scores the mean of its directions.
    """
    from torch_geometric.utils import k_hop_subgraph

    x, edge_index = data.graph.ndata["feat"], torch.stack(data.graph.edges(order="eid"))
    truth = data.graph.edata["motif_edge"].bool()
    explainer, seconds, wall, aucs = pyg_explainer(model, epochs, lr), 0.0, 0.0, []
    for why in asked:
        node = why.target.ids[0]
        torch.manual_seed(node)
        start = time.process_time(), time.perf_counter()
        subset, inside, at, mask = k_hop_subgraph(node, 3, edge_index, relabel_nodes=True)
        given = (x[subset], inside, int(at)) if cut else (x, edge_index, node)
        found = explainer(given[0], given[1], index=given[2]).edge_mask
        seconds, wall = seconds + time.process_time() - start[0], wall + time.perf_counter() - start[1]
        score = torch.zeros(len(truth))
        score[mask] = found if cut else found[mask]
        mean = torch.zeros(why.num_edges).index_add(0, why.group, score[why.edges]) / 2
        known = torch.zeros(why.num_edges, dtype=torch.bool)
        known[why.group] = truth[why.edges]
        if bool(known.any()) and not bool(known.all()):
            aucs.append(float(rank_auc(mean, known[None])))
    return {"seconds": seconds, "wall_seconds": wall, "auc": float(np.mean(aucs)), "nodes": len(asked)}


def ours(
    data: Any, model: nn.Module, nodes: list[int], sample: list[int], **options: Any
) -> tuple[dict[str, float], list[gk.Explanation]]:
    """Explain all nodes in one call; return what it took and found, and the explanations of the sample."""
    truth = data.graph.edata["motif_edge"].bool()
    start = time.process_time(), time.perf_counter()
    found = gk.explain(model, data, nodes=nodes, progress=False, **options)
    row = {"seconds": time.process_time() - start[0], "wall_seconds": time.perf_counter() - start[1]}
    aucs = [edge_auc(why, truth) for why in found]
    kept = [nodes.index(node) for node in sample]
    row |= {"auc": float(np.nanmean(aucs)), "auc_of_sample": float(np.nanmean([aucs[i] for i in kept]))}
    return {**row, "nodes": len(nodes)}, [found[i] for i in kept]


def main() -> None:
    """Train once, explain with both, print and store the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=400)
    parser.add_argument("--sample", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--weights", type=Path, help="a trained network's weights; trained and written where missing")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = ba_shapes(0)
    if args.weights is not None and args.weights.is_file():
        model = gk.models.build("gcn", data, **NETWORK)
        model.load_state_dict(torch.load(args.weights))
    else:
        model = train_ba_shapes(data, 0).model
        if args.weights is not None:
            torch.save(model.state_dict(), args.weights)
    model.eval()
    twin = pyg_network(model.encoder)
    with torch.no_grad():
        rows = model(gk.sampling.full_batch(data)).pred
        other = twin(data.graph.ndata["feat"], torch.stack(data.graph.edges(order="eid")))
    assert torch.allclose(rows, other, atol=1e-4)
    nodes = (data.graph.ndata["house"] >= 0).nonzero()[:, 0].tolist()[: args.nodes]
    drawn = torch.randperm(len(nodes), generator=torch.Generator().manual_seed(0))[: args.sample]
    sample = [nodes[i] for i in sorted(drawn.tolist())]  # all five places of a house among them
    accuracy = float((rows.argmax(1) == data.labels).double().mean())
    gk.explain(model, data, nodes=nodes[:2], epochs=2)  # kernels are compiled before the clock starts
    torch.manual_seed(0)
    blank = gk.models.build("gcn", data, **NETWORK).eval()
    record: dict[str, Any] = {"accuracy": accuracy, "epochs": args.epochs, "lr": args.lr, "rounds": args.rounds}
    record["command"] = f"python benchmarks/explain/gnnexplainer_speed.py --nodes {len(nodes)} --sample {len(sample)}"
    record |= {"versions": ledger.versions(), "hardware": ledger.hardware(), "load": []}
    fitting: dict[str, Any] = {"epochs": args.epochs, "lr": args.lr}
    spread = (2 / data.graph.num_nodes()) ** 0.5  # where PyG starts on the whole graph
    like_pyg: dict[str, Any] = {"directions": "apart", "init_mean": 0.0, "init_std": spread}
    rounds: dict[str, list[dict[str, float]]] = {}
    for _ in range(args.rounds):
        record["load"].append(round(os.getloadavg()[0], 2))
        mine, asked = ours(data, model, nodes, sample, **like_pyg, **fitting)
        rounds.setdefault("ours", []).append(mine)
        rounds.setdefault("ours_tied", []).append(ours(data, model, nodes, sample, **fitting)[0])
        for name, cut in (("pyg_subgraphs", True), ("pyg_whole", False)):
            rounds.setdefault(name, []).append(by_pyg(data, twin, asked, args.epochs, args.lr, cut))
        print({name: made[-1] for name, made in rounds.items()}, flush=True)
    untrained = {
        "ours": ours(data, blank, sample, sample, **like_pyg, **fitting)[0]["auc"],
        "ours_tied": ours(data, blank, sample, sample, **fitting)[0]["auc"],
        "pyg_subgraphs": by_pyg(data, pyg_network(blank.encoder), asked[:8], args.epochs, args.lr, True)["auc"],
    }
    record["auc_on_an_untrained_network"] = untrained
    for name, made in rounds.items():
        record[name] = min(made, key=lambda one: one["seconds"])
        record[name]["seconds_of_rounds"] = [one["seconds"] for one in made]
        record[name]["seconds_for_all"] = record[name]["seconds"] * len(nodes) / record[name]["nodes"]
        record[name]["times_slower"] = record[name]["seconds_for_all"] / record["ours"]["seconds"]
        print(name, record[name], flush=True)
    if args.out is not None:
        args.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
