"""Choose the base of a new recipe: a short name, a repository of the hub, or a folder."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from ...compiler.importers.sources import LICENSES
from ...schema.did_you_mean import did_you_mean
from ...schema.errors import InputError
from ...schema.yaml_reader import parse
from ..bundled_recipes import shipped_folder

SHORT = {"smollm2": "smollm2-135m"}
"""Short names -> the shipped recipes whose base they mean."""
REPOSITORY = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Base:
    """A base model for a recipe.

    Attributes:
        source: its source, as a step of a recipe.
        license: its license, where it is known.
        chats: whether its tokenizer has a chat template; None where that is not known.
        positions: the longest text that it reads, in tokens; None where that is not known.
    """

    source: dict[str, Any]
    license: str | None = None
    chats: bool | None = None
    positions: int | None = None


def choose_base(name: str) -> Base:
    """Return the base of a short name, a local folder or GGUF file, or a repository `owner/name`.

    Raises:
        InputError: it is none of these, or the folder has no model.
    """
    path = Path(name)
    if name in SHORT and not path.exists():
        model = parse((shipped_folder() / f"{SHORT[name]}.yaml").read_bytes(), name).data["model"]
        return Base(model["base"], model["license"], chats=True)
    if path.is_file() and path.suffix == ".gguf":
        return Base({"use": "files", **_folder(path.parent), "include": [path.name]})
    if path.is_dir():
        return _local(path)
    if REPOSITORY.fullmatch(name) and not name.startswith("."):
        return Base({"use": "huggingface", "repo": name}, LICENSES.get(name))
    expected = f"a repository `owner/name`, a folder with a model, or {', '.join(SHORT)}"
    raise InputError(
        f"there is no base {name!r}", hint=f"{did_you_mean(name, SHORT)}expected: {expected}"
    )


def _folder(path: PurePath) -> dict[str, str]:
    """Return the parameter for a folder, seen from the recipe."""
    return {} if str(path) == "." else {"folder": path.as_posix()}


def _local(path: Path) -> Base:
    """Return the base in a folder; its configuration and tokenizer are looked at."""
    config = _document(path / "config.json")
    if config is None and not any(path.glob("*.gguf")):
        raise InputError(
            f"{path} is not a base model: it has no readable config.json and no .gguf file",
            hint="a base is a folder as `save_pretrained` writes it, with its tokenizer",
        )
    chats: bool | None = None
    if config is not None:
        named = _document(path / "tokenizer_config.json") or {}
        chats = bool(named.get("chat_template")) or any(path.glob("chat_template*"))
    length = (config or {}).get("max_position_embeddings")
    positions = length if isinstance(length, int) and length > 0 else None
    source = {"use": "files", **_folder(path), "include": ["*"]}
    return Base(source, chats=chats, positions=positions)


def _document(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
