"""One learning check per system on real data: the recipes' floors, measured anew.

Each seed is written to ``build/real/results`` as soon as it is done, so an interrupted round goes on where it ended;
remove that folder to measure again.
"""

from __future__ import annotations

import shutil
import statistics
from pathlib import Path

import pytest

from graphkit.bench.recipe import recipes
from graphkit.bench.runner import run_recipe

ROOT = Path(__file__).resolve().parents[2]
JUDGED = [recipe for recipe in recipes(ROOT / "benchmarks") if recipe.protocol == "best-val"]
FLOORS = [recipe.name for recipe in JUDGED if recipe.floor]
CEILINGS = [recipe.name for recipe in JUDGED if recipe.ceiling]

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def place() -> Path:
    """Return a folder with the checkout's recipes and results of its own."""
    folder = ROOT / "build" / "real"
    shutil.copytree(ROOT / "benchmarks" / "recipes", folder / "recipes", dirs_exist_ok=True)
    (folder / "results").mkdir(exist_ok=True)
    return folder


def mean(name: str, metric: str, place: Path, seeds: list[int] | None = None) -> float:
    """Return the mean of a recipe's metric over its seeds, which are measured if they have not been."""
    result = run_recipe(recipes(place, [name])[0], place, seeds)
    return statistics.fmean(result.values(metric))


@pytest.mark.parametrize("name", FLOORS)
def test_the_mean_of_the_seeds_reaches_the_floor(name, place):
    for metric, floor in recipes(place, [name])[0].floor.items():
        assert mean(name, metric, place) >= floor


@pytest.mark.parametrize("name", CEILINGS)
def test_the_mean_error_of_the_seeds_stays_below_the_ceiling(name, place):
    for metric, ceiling in recipes(place, [name])[0].ceiling.items():
        assert mean(name, metric, place) <= ceiling


def test_the_graph_helps_where_links_are_predicted(place):
    assert mean("gae-cora", "test/auc", place) > mean("gae-cora-mlp", "test/auc", place)


@pytest.mark.parametrize("dataset", ["nations", "kinship"])
@pytest.mark.parametrize("system", ["rgcn", "distmult"])
def test_ranking_triples_beats_counting_them(system, dataset, place):
    baseline = mean(f"frequency-{dataset}", "test/mrr", place)
    assert mean(f"{system}-{dataset}", "test/mrr", place, [0]) > baseline
