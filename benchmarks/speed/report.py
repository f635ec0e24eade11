"""The rows of layers.json as Markdown, and what was wanted of each."""

from __future__ import annotations

from cases import SIZES

#: Least wanted ratio of a peer's time to ours at the medium and large sizes, at one thread.
TARGETS = {
    ("GCN", "pyg"): 8.0, ("SAGE", "pyg"): 4.0, ("GIN", "pyg"): 4.0,
    ("GAT", "dgl"): 3.0, ("GAT", "pyg"): 6.0, ("GATv2", "dgl"): 3.0, ("GATv2", "pyg"): 5.0,
    ("Transformer", "pyg"): 3.0, ("Transformer, edges", "pyg"): 3.0, ("GatedGCN", "pyg"): 3.0,
    ("GEN softmax", "pyg"): 3.0, ("GEN power", "pyg"): 3.0, ("GINE", "pyg"): 3.0, ("PNA", "pyg"): 3.0,
}  # fmt: skip
#: Where the dense product dominates, nothing but "not slower" is asked.
DENSE = ("small", "molecules")


def table(result: dict) -> str:
    """All rows, a section for each size."""
    lines = [
        "# Layer speed",
        "",
        "Forward + backward, gradients of inputs and parameters, float32; least of the interleaved rounds, on "
        f"{result['processor']}. A ratio is the peer's time over GraphKit's with its 95 % bootstrap interval. Targets "
        "are judged at one thread: a multiple is met by the ratio, *not slower* by an interval that reaches 1 / 1.05. "
        "PyG runs with `edge_index`, its sparse-CSR form beside; beside Transformer stands DGL's DotGatConv, with one "
        "projection where the others have four. Edge features have 16 columns; attention has 8 heads.",
    ]
    for name, size in SIZES.items():
        rows = [row for row in result["rows"] if row["size"] == name]
        if not rows:
            continue
        batch = f"{size.graphs} graphs, " if size.graphs > 1 else ""
        lines += [
            "", f"## {name}: {batch}{size.nodes:,} nodes, {size.edges:,} edges, {size.d_in} to {size.d_out}", "",
            "| layer | threads | GraphKit ms | DGL ms | DGL / ours | PyG ms | PyG / ours | PyG CSR ms | targets |",
            "|---|---|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        lines += [_line(row) for row in rows]
    return "\n".join(lines) + "\n"


def _line(row: dict) -> str:
    cells = [row["layer"], str(row["threads"]), _ms(row, "graphkit")]
    for peer in ("dgl", "pyg"):
        r = row.get("ratios", {}).get(peer)
        cells += [_ms(row, peer), f"{r['ratio']:.2f} ({r['low']:.2f} to {r['high']:.2f})" if r else ""]
    cells += [_ms(row, "pyg-csr"), verdict(row)]
    return "| " + " | ".join(cells) + " |"


def _ms(row: dict, library: str) -> str:
    if library in row["failed"]:
        return row["failed"][library]
    value = row["ms"].get(library)
    return "" if value is None else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def verdict(row: dict) -> str:
    """What was wanted of a row at one thread, and whether it is met."""
    if row["threads"] != 1 or "ratios" not in row:
        return ""
    said = []
    for peer in ("dgl", "pyg"):
        r = row["ratios"].get(peer)
        if r is None:
            continue
        wanted = None if row["size"] in DENSE else TARGETS.get((row["layer"], peer))
        if wanted is not None:
            said.append(f"{peer} {wanted:g}x {'met' if r['ratio'] >= wanted else 'MISSED'}")
        elif r["high"] < 1 / 1.05:
            said.append(f"{peer} SLOWER")
    dense = row["ms"].get("dense")
    if dense is not None:
        bound = row["ms"]["dgl"] / dense / 2
        said.append(f"dense products {dense:.1f} ms: dgl {bound:.2f}x wanted" if row["size"] in DENSE else "")
        if row["size"] in DENSE:
            said[-1] += " met" if row["ratios"]["dgl"]["ratio"] >= bound else " MISSED"
    return ", ".join(word for word in said if word)
