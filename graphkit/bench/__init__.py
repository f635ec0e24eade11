"""Recipes, their runner and the ledger of results: what GraphKit measures, beside what the papers report."""

from graphkit.bench.ledger import Result, load_result
from graphkit.bench.recipe import Recipe, load_recipe, recipes
from graphkit.bench.report import write_report
from graphkit.bench.runner import check, run_recipe

__all__ = ["Recipe", "Result", "check", "load_recipe", "load_result", "recipes", "run_recipe", "write_report"]
