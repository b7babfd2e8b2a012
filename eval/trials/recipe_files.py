"""Recipes by name, and of one's own: a YAML file of fields over `common`."""

from __future__ import annotations

from pathlib import Path

from archrank.datasets.errors import ArchrankError
from archrank.datasets.io.bounded import shown
from archrank.datasets.io.plain_yaml import read_plain_file
from archrank.eval.engine.recipes import RECIPES, Recipe, RecipeChoice, content_hash, variant

__all__ = ["find_recipe"]


def find_recipe(reference: str | Path | RecipeChoice) -> RecipeChoice:
    """The recipe of a name, or of a YAML file (`lr: 0.001` and other fields of `Recipe`, over those of `common`).

    A recipe from outside archrank is called `name@hash` after its content, so that an edited one is another recipe, and
    so another trial. ArchrankError for an unknown name, a file that cannot be read, or a field that is wrong.
    """
    if not isinstance(reference, str | Path):
        return reference
    if str(reference).endswith((".yaml", ".yml")):
        path = Path(reference)
        fields = read_plain_file(path, f"recipe {reference}")
        if not isinstance(fields, dict):
            raise ArchrankError(
                f"recipe {reference}: {shown(fields)} is no list of fields; write lines such as `lr: 0.001`"
            )
        return _named_by_content(variant(path.stem, **fields))
    recipe = RECIPES[str(reference)]
    return (
        _named_by_content(recipe)
        if isinstance(recipe, Recipe) and not RECIPES.find(str(reference)).built_in
        else recipe
    )


def _named_by_content(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"name": f"{recipe.name}@{content_hash(recipe)[:12]}"})
