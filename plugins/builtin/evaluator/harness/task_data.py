"""Show pinned files to the harness as a local data set, with a card that names their splits.

A data set that has a card of its own is shown as it is. Of others, the files of a split are those
whose path has the split's name, and, where files are named after configurations, the task's.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from khichdi.schema.errors import StepError

READ = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".arrow")
CARD = "README.md"
SPLITS = ("training_split", "validation_split", "test_split", "fewshot_split")
OTHER_NAMES = {"validation": ("validation", "valid", "val", "dev"), "dev": ("dev", "validation")}


@dataclass(frozen=True)
class Leaf:
    """A task's data as its configuration asks for it."""

    task: str
    dataset: str
    config: str | None
    splits: tuple[str, ...]

    @classmethod
    def of(cls, task: str, config: Mapping[str, Any]) -> Leaf:
        """Return what a task's configuration asks for."""
        splits = [config.get(name) for name in SPLITS]
        splits.append((config.get("fewshot_config") or {}).get("split"))
        return cls(
            task,
            str(config.get("dataset_path")),
            config.get("dataset_name"),
            tuple(dict.fromkeys(str(name) for name in splits if name)),
        )


def entry_for(task: str, names: Sequence[str]) -> str | None:
    """Return the entry of `data` that a task reads: its own, else the longest that begins it."""
    found = [name for name in names if task == name or task.startswith(name)]
    return max(found, key=len, default=None)


def prepare(source: Path, leaves: Sequence[Leaf], folder: Path) -> None:
    """Fill a folder with a source's files and a card for the tasks that read it.

    Raises:
        StepError: a split of a task has no file; lists the files.
    """
    shutil.copytree(source, folder, symlinks=False, copy_function=_link)
    if _has_configs(folder / CARD):
        return
    files = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in READ
    )
    configs: dict[str, dict[str, list[str]]] = {}
    for leaf in leaves:
        splits = {split: _files(leaf, split, files) for split in leaf.splits}
        configs.setdefault(leaf.config or "default", {}).update(splits)
    (folder / CARD).unlink(missing_ok=True)
    (folder / CARD).write_text(_card(configs), encoding="utf-8")


def _has_configs(card: Path) -> bool:
    if not card.is_file():
        return False
    text = card.read_text(encoding="utf-8", errors="replace")
    head = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    return bool(head and re.search(r"(?m)^configs:", head[1]))


def _files(leaf: Leaf, split: str, files: Sequence[str]) -> list[str]:
    names = OTHER_NAMES.get(split, (split,))
    for name in names:
        found = [path for path in files if _has(path, name)]
        own = [path for path in found if leaf.config and _is_of(path, leaf.config, name)]
        if own or found:
            return own or found
    if len(files) == 1 and leaf.splits == (split,):
        return list(files)
    listed = ", ".join(files[:5]) + (f" and {len(files) - 5} more" if len(files) > 5 else "")
    raise StepError(
        f"task `{leaf.task}` reads the split `{split}` of {leaf.dataset}, and no file of its data "
        f"is named so: {listed or 'there are none'}",
        hint=f"name files by their split, as in `{split}.jsonl`, or include the data set's card "
        "with its `configs`",
    )


def _has(path: str, word: str) -> bool:
    """Return whether a path has a word, parted by anything but letters and digits."""
    return re.search(rf"(?i)(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", path) is not None


def _is_of(path: str, config: str, split: str) -> bool:
    """Return whether a folder or file of a path is named after a configuration, and no other."""
    parts = [part.split(".")[0].casefold() for part in path.split("/")]
    plain = {re.sub(rf"[_-]?{re.escape(split.casefold())}.*$", "", part) for part in parts}
    return config.casefold() in plain | set(parts)


def _card(configs: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    import json

    entries = [
        {
            "config_name": name,
            "data_files": [
                {"split": split, "path": list(paths)} for split, paths in splits.items()
            ],
        }
        for name, splits in sorted(configs.items())
    ]
    return f"---\nconfigs: {json.dumps(entries)}\n---\n"


def _link(source: str, target: str) -> None:
    Path(target).symlink_to(Path(source).resolve())
