"""Where models and data come from: the hub or a folder, distinguished by spelling."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
SLICE = re.compile(r"(\w+)\[([^\[\]]+)\]")
READERS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
"""Endings of data files."""

LICENSES = {
    "meta-llama/Llama-2-7b-hf": "llama2",
    "meta-llama/Llama-2-13b-hf": "llama2",
    "meta-llama/Llama-2-70b-hf": "llama2",
    "NousResearch/Llama-2-7b-hf": "llama2",
    "mistralai/Mistral-7B-v0.1": "apache-2.0",
    "mistralai/Mistral-7B-v0.3": "apache-2.0",
    "HuggingFaceTB/SmolLM2-135M": "apache-2.0",
    "onuralp/open-otter": "mit",
    "tatsu-lab/alpaca": "cc-by-nc-4.0",
    "yahma/alpaca-cleaned": "cc-by-4.0",
    "databricks/databricks-dolly-15k": "cc-by-sa-3.0",
}
"""Licences that the cards of well-known repositories state."""


def is_local(where: str) -> bool:
    """Return whether a model or data set lies on this machine, by how it is written."""
    ending = PurePosixPath(where).suffix.lower()
    return not REPOSITORY.fullmatch(where) or ending in READERS


def model_source(where: str, revision: str | None) -> dict[str, Any]:
    """Return the source of a base model."""
    if is_local(where):
        return {"use": "files", "folder": where, "include": ["*"]}
    return {"use": "huggingface", "repo": where} | ({"revision": revision} if revision else {})


def data_source(
    where: str,
    *,
    split: str | None = None,
    config: str | None = None,
    files: list[str] | None = None,
    revision: str | None = None,
) -> dict[str, Any]:
    """Return the source of a data set; of the hub `split`, unless files are named."""
    if is_local(where):
        path = PurePosixPath(where)
        if path.suffix.lower() in READERS:
            folder = {} if str(path.parent) == "." else {"folder": str(path.parent)}
            return {"use": "files", **folder, "include": [path.name]}
        return {"use": "files", "folder": where, "include": files or ["*"]}
    found: dict[str, Any] = {"use": "huggingface", "repo": where, "repo_type": "dataset"}
    if revision:
        found["revision"] = revision
    if files:
        return found | {"include": files}
    if config:
        found["config"] = config
    return found | {"split": split or "train"}


def sliced(split: str) -> tuple[str, str] | None:
    """Return split and rows of `train[:20%]`, as the sampler `slice` takes them; else None."""
    found = SLICE.fullmatch(split)
    if found is None:
        return None
    rows = found[2].replace(" ", "")
    return found[1], rows if ":" in rows else f"{rows}:"


def set_name(where: str, taken: set[str]) -> str:
    """Return a name for a data set that is not taken, from its path."""
    stem = PurePosixPath(where.rstrip("/")).name
    ending = PurePosixPath(stem).suffix
    name = recipe_name(stem.removesuffix(ending) if ending.lower() in READERS else stem)
    number = 2
    unique = name
    while unique in taken:
        unique, number = f"{name}-{number}", number + 1
    taken.add(unique)
    return unique


def training_name(recipe: dict[str, Any], stem: str) -> str:
    """Return a name for a recipe: its base and its first data set, else the file's name."""
    base = recipe.get("model", {}).get("base", {})
    where = str(base.get("repo") or base.get("folder") or "").rstrip("/")
    data = next(iter(recipe.get("data", {})), "")
    model = recipe_name(PurePosixPath(where).name) if where else ""
    return recipe_name(f"{model[:40]}-{data}" if model and data else stem)


def recipe_name(text: str) -> str:
    """Return a text as a name of the recipe language: lower case, digits, dots and dashes."""
    name = re.sub(r"[^a-z0-9._-]+", "-", text.strip().lower()).strip("-._")
    return name[:60] or "imported"
