"""SubgraphX: On Explainability of Graph Neural Networks via Subgraph Explorations (2102.05152)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError
from graphkit.core.random import generator
from graphkit.core.registry import register
from graphkit.explain.attribution import Attribution
from graphkit.explain.measures import spare_target
from graphkit.explain.question import Question


@dataclass
class _State:
    """A connected set of nodes in the search tree."""

    reward: float
    children: list[frozenset[int]] | None = None
    visits: int = 0
    total: float = 0.0


@register(
    "subgraphx",
    kind="explainer",
    level="any",
    title="On Explainability of Graph Neural Networks via Subgraph Explorations",
    arxiv="2102.05152",
    weightless=True,
)
@dataclass
class SubgraphX:
    """Search the connected subgraph of few nodes whose Shapley value for the answer is largest.

    A tree search takes nodes away from the computation graph; its states are connected subgraphs that hold the target.
    The worth of subgraph S is its sampled Shapley value in the game of S as one player against the other nodes near
    it, ``E[f(S + C) - f(C)]`` over coalitions C; a coalition is the graph with the edges inside it. An edge scores the
    largest worth among the subgraphs of at most ``max_nodes`` nodes that it is in.

    Parameters
    ----------
    max_nodes : int, default 6
        Of the subgraph that is wanted; one fewer than there are where the neighbourhood is that small.
    rollouts : int, default 10
        Ways down the tree.
    samples : int, default 10
        Coalitions for each Shapley value.
    expand : int, default 12
        Children that a state is given, those that lose nodes of the lowest degree.
    explore : float, default 5.0
        Weight of the prior in choosing a child: ``Q + explore R sqrt(sum N) / (1 + N)``.
    start_nodes : int, default 40
        The search starts from at most so many nodes, the nearest to the target; the paper's starts from all.

    Notes
    -----
    The paper's defaults are 20 rollouts and 100 samples. From more than ``expand`` nodes on, a step takes several
    nodes away at once. ``info`` holds the best subgraph's ``nodes`` and its ``shapley`` value.

    Examples
    --------
    >>> import graphkit as gk
    >>> data = gk.load("karate")
    >>> why = gk.explain(gk.models.build("gcn", data), data, node=11, method="subgraphx", rollouts=2, samples=2)
    >>> 11 in why.info["nodes"]
    True
    """

    max_nodes: int = 6
    rollouts: int = 10
    samples: int = 10
    expand: int = 12
    explore: float = 5.0
    start_nodes: int = 40

    def __post_init__(self) -> None:
        for name in ("max_nodes", "rollouts", "samples", "expand", "start_nodes"):
            if getattr(self, name) < 1:
                raise GraphKitError(f"{name} is {getattr(self, name)}; expected at least 1")

    def __call__(self, question: Question, seed: int = 0) -> Attribution:
        """Search the subgraph of one question.

        Parameters
        ----------
        question : Question
        seed : int

        Returns
        -------
        Attribution
            ``edge [G]``, at least 0.
        """
        if question.num_groups == 0:
            return Attribution(torch.zeros(0), info={"nodes": [], "shapley": 0.0})
        search = _Search(self, question, generator(seed, "subgraphx", question.target))
        with torch.no_grad():
            for _ in range(self.rollouts):
                search.roll()
        return search.attribution()


@dataclass
class _Search:
    rule: SubgraphX
    question: Question
    rng: torch.Generator
    tree: dict[frozenset[int], _State] = field(default_factory=dict)

    def __post_init__(self) -> None:
        q = self.question
        used = q.group >= 0
        self.src, self.dst, self.group = q.src[used], q.dst[used], q.group[used]
        self.near: dict[int, set[int]] = {}
        for u, v in zip(self.src.tolist(), self.dst.tolist(), strict=True):
            self.near.setdefault(u, set()).add(v)
            self.near.setdefault(v, set()).add(u)
        roots = torch.unique(torch.stack([q.src[q.roots], q.dst[q.roots]])) if q.target.kind == "edge" else q.roots
        self.kept = frozenset(roots.tolist())
        self.players = torch.tensor(sorted(set(self.near) | self.kept))
        order = sorted(self.near, key=lambda node: (int(q.hops[node]), -len(self.near[node]), node))
        first = frozenset(order[: self.rule.start_nodes]) | self.kept
        self.start = self._connected(first) or first
        self.tree[self.start] = _State(0.0)
        # Of a neighbourhood that is small already, a part is searched: the whole says nothing of its edges.
        self.limit = min(self.rule.max_nodes, max(len(self.kept) + 1, len(self.start) - 1))

    def roll(self) -> None:
        """Walk from the start to a subgraph that is small enough, and tell all on the way what it is worth."""
        state, path = self.start, [self.start]
        while len(state) > self.limit:
            children = self._children(state)
            if not children:
                break
            seen = sum(self.tree[child].visits for child in children)
            state = max(children, key=lambda child: self._promise(child, seen))
            path.append(state)
        worth = self.tree[state].reward
        for state in path:
            self.tree[state].visits += 1
            self.tree[state].total += worth

    def _promise(self, child: frozenset[int], seen: int) -> float:
        state = self.tree[child]
        mean = state.total / state.visits if state.visits else 0.0
        return mean + self.rule.explore * state.reward * math.sqrt(seen + 1e-9) / (1 + state.visits)

    def _children(self, state: frozenset[int]) -> list[frozenset[int]]:
        known = self.tree[state]
        if known.children is not None:
            return known.children
        step = max(1, len(state) // self.rule.expand)
        free = sorted(state - self.kept, key=lambda node: (len(self.near.get(node, set()) & state), node))
        found: list[frozenset[int]] = []
        for at in range(0, min(len(free), step * self.rule.expand), step):
            child = self._connected(state - set(free[at : at + step]))
            if child is not None and child not in found:
                found.append(child)
        new = [child for child in found if child not in self.tree]
        for child, reward in zip(new, self._shapley(new), strict=True):
            self.tree[child] = _State(reward)
        known.children = found
        return found

    def _connected(self, nodes: frozenset[int] | set[int]) -> frozenset[int] | None:
        """Return the part that holds the target, or for graphs the largest; None where nothing else is left."""
        left, best = set(nodes), frozenset[int]()
        if self.kept:
            return self._part(self.kept, left)
        while left:
            part = self._part(frozenset([min(left)]), left)
            left -= part
            best = max(best, part, key=len)
        return best or None

    def _part(self, start: frozenset[int], inside: set[int]) -> frozenset[int]:
        seen, queue = set(start), list(start)
        while queue:
            new = (self.near.get(queue.pop(), set()) & inside) - seen
            seen |= new
            queue += new
        return frozenset(seen)

    def _shapley(self, sets: list[frozenset[int]]) -> list[float]:
        """Return the sampled Shapley value of each set of nodes."""
        if not sets:
            return []
        n, samples = self.question.num_nodes, self.rule.samples
        base, full = [], []
        for nodes in sets:
            mine = torch.zeros(n, dtype=torch.bool)
            mine[list(nodes)] = True
            # A player's place in a random order is uniform: so is the share of the others that come before it.
            share = torch.rand(samples, 1, generator=self.rng)
            others = torch.zeros(samples, n, dtype=torch.bool)
            drawn = torch.rand(samples, len(self.players), generator=self.rng) < share
            others[:, self.players] = drawn
            others &= ~mine
            base.append(others)
            full.append(others | mine)
        worth = self._answers(torch.cat(full)) - self._answers(torch.cat(base))
        return worth.view(len(sets), samples).mean(1).tolist()

    def _answers(self, present: Tensor) -> Tensor:
        q = self.question
        groups = torch.zeros(len(present), q.num_groups, dtype=torch.bool)
        groups[:, self.group] = present[:, self.src] & present[:, self.dst]
        return q.reading.probability(q.rows(keep=spare_target(q, q.group_keep(groups)))).cpu()

    def attribution(self) -> Attribution:
        """Return what the search found."""
        q = self.question
        small = {nodes: state.reward for nodes, state in self.tree.items() if len(nodes) <= self.limit}
        if not small:
            small = {min(self.tree, key=len): self.tree[min(self.tree, key=len)].reward}
        score = torch.zeros(q.num_groups)
        for nodes, worth in sorted(small.items(), key=lambda item: item[1]):
            inside = torch.zeros(q.num_nodes, dtype=torch.bool)
            inside[list(nodes)] = True
            score[self.group[inside[self.src] & inside[self.dst]]] = max(worth, 0.0)
        best = max(small, key=lambda nodes: small[nodes])
        info = {"nodes": sorted(q.node_ids[list(best)].tolist()), "shapley": small[best], "subgraphs": len(self.tree)}
        return Attribution(score, info=info)
