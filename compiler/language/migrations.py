"""Changes from each version of the language to the next.

A migration is frozen when the next version is released: it names keys itself, and never looks at
the classes of the language as they are now.

Version 0 was the language of drafts. In it a step said `type`; data sets were a list, `datasets`,
each with a `name`; held-out rows were `val_set_size`, a count or a fraction; `evaluate` was
`evaluation`; LoRA's words had the prefix `lora_`; and `train` said `sequence_length` and `packing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ...schema.errors import Diagnostic
from ...schema.yaml_reader import Mark, Parsed, Path
from ..yaml.cst import Entry, Node


@dataclass(frozen=True)
class Note:
    """One thing that a migration did, in words of the old and the new version."""

    line: int
    before: str
    after: str


@dataclass
class Edit:
    """A tree that is being changed; collects what was done, and what cannot be done."""

    root: Node
    parsed: Parsed
    notes: list[Note] = field(default_factory=list)
    faults: list[Diagnostic] = field(default_factory=list)

    def rename(self, node: Node | None, old: str, new: str) -> None:
        """Give a mapping's key another name."""
        entry = node.entry(old) if node else None
        if node is None or entry is None:
            return
        if node.entry(new):
            self.fault(entry.mark, f"`{old}` and `{new}` say the same", "keep one of them")
            return
        entry.key, entry.written = new, entry.written or old
        self.note(entry.mark, old, new)

    def take(self, node: Node, key: str) -> Entry | None:
        """Take an entry out of a mapping."""
        entry = node.entry(key)
        if entry:
            node.entries.remove(entry)
        return entry

    def section(self, key: str, mark: Mark) -> Node | None:
        """Return a section's mapping, made if there is none; None if it is something else."""
        entry = self.root.entry(key)
        if entry is None:
            entry = Entry(key, mark, Node("mapping", mark))
            self.root.entries.append(entry)
        return entry.node if entry.node.kind == "mapping" else None

    def state(self, version: int) -> None:
        """Write the version that the tree has now."""
        entry = self.root.entry("recipe")
        if entry:
            entry.node.value, entry.node.source = version, str(version)

    def note(self, mark: Mark, before: str, after: str) -> None:
        """Record a change at a place of the file."""
        self.notes.append(Note(mark.line, before, after))

    def fault(self, mark: Mark, message: str, suggestion: str) -> None:
        """Record what has no place in the next version."""
        at = Parsed(self.parsed.file, None, self.parsed.lines, values={(): mark})
        self.faults.append(at.diagnose((), "migration", message, suggestion))

    def written(self) -> Iterator[tuple[Path, str]]:
        """Yield the path and the old name of every entry that was renamed."""
        yield from _written(self.root, ())


def _written(node: Node, path: Path) -> Iterator[tuple[Path, str]]:
    for index, entry in enumerate(node.entries):
        below = (*path, index if entry.key is None else entry.key)
        if entry.written:
            yield below, entry.written
        yield from _written(entry.node, below)


# ---- version 0 ------------------------------------------------------------------------------

LORA = {"lora_r": "r", "lora_alpha": "alpha", "lora_dropout": "dropout"}


def from_version_0(edit: Edit) -> None:
    """Bring a draft to version 1."""
    edit.rename(edit.root, "evaluation", "evaluate")
    _data_sets(edit)
    _held_out(edit)
    for step in _steps(edit.root):
        edit.rename(step, "type", "use")
    adapter = _at(edit.root, "model", "adapter")
    for old, new in LORA.items():
        edit.rename(adapter, old, new)
    train = _at(edit.root, "train")
    edit.rename(train, "sequence_length", "sequence_len")
    edit.rename(train, "packing", "sample_packing")


def _data_sets(edit: Edit) -> None:
    """Turn the list of data sets into a mapping by name."""
    entry = edit.root.entry("datasets")
    if entry is None:
        return
    if entry.node.kind == "mapping" or entry.node.value is not None:
        message = "`datasets` is a list in version 0 of the language"
        edit.fault(entry.mark, message, "a mapping by name is `data`, of version 1")
        return
    names: set[str] = set()
    for item in entry.node.entries:
        _named(edit, item, names)
    if entry.node.kind == "sequence":
        entry.node.kind = "mapping"
    edit.rename(edit.root, "datasets", "data")


def _named(edit: Edit, item: Entry, names: set[str]) -> None:
    """Make the name that a data set states its key."""
    name = edit.take(item.node, "name") if item.node.kind == "mapping" else None
    if name is None or not isinstance(name.node.value, str):
        edit.fault(item.mark, "a data set needs a `name`", "add `name: NAME` to it")
        return
    if name.node.value in names:
        message = f"two data sets are named `{name.node.value}`"
        edit.fault(name.node.mark, message, "give each a name of its own")
    names.add(name.node.value)
    item.key, item.mark = name.node.value, name.node.mark
    item.before += [*([item.eol] if item.eol and name.eol else []), *name.before]
    item.eol = name.eol or item.eol
    item.foot = [*name.foot, *item.foot]


def _held_out(edit: Edit) -> None:
    """Move the number of held-out rows into the mixture."""
    entry = edit.root.entry("val_set_size")
    if entry is None:
        return
    mixture = edit.section("mixture", entry.mark)
    if mixture is None or mixture.entry("validation"):
        message = "`val_set_size` and `mixture` contradict one another"
        edit.fault(entry.mark, message, "keep `val_set_size` in version 0")
        return
    edit.take(edit.root, "val_set_size")
    value = entry.node.value
    entry.key, entry.written = "validation", "val_set_size"
    mixture.entries.append(entry)
    if not value and not isinstance(value, str):
        # No rows, or null where a parent's are taken away.
        entry.node.value, entry.node.source = None, "null"
        edit.note(entry.mark, "val_set_size", "mixture.validation: null")
        return
    key, other = ("fraction", "count") if isinstance(value, float) else ("count", "fraction")
    number = Entry(key, entry.mark, entry.node, written="val_set_size")
    entry.node = Node("mapping", entry.node.mark, entries=[number])
    if edit.root.entry("extends"):
        # The one number stood for both, so it also took the place of the parent's.
        entry.node.entries.append(Entry(other, entry.mark, Node("scalar", entry.mark)))
    edit.note(entry.mark, "val_set_size", f"mixture.validation.{key}")


def _steps(root: Node) -> Iterator[Node]:
    """Yield every mapping that names a plugin."""
    for key in ("base", "quantization", "adapter"):
        yield from _mappings(_at(root, "model", key))
    data = _at(root, "data")
    for data_set in data.entries if data else []:
        for key in ("source", "read", "filters", "score", "sample"):
            yield from _mappings(_at(data_set.node, key))
    yield from _mappings(_at(root, "mixture", "filters"))
    yield from _mappings(_at(root, "train"))
    yield from _mappings(_at(root, "train", "template"))
    yield from _mappings(_at(root, "evaluate"))
    yield from _mappings(_at(root, "rules"))


def _mappings(node: Node | None) -> Iterator[Node]:
    """Yield a step, or the steps of a list."""
    if node is not None and node.kind == "sequence":
        yield from (entry.node for entry in node.entries if entry.node.kind == "mapping")
    elif node is not None and node.kind == "mapping":
        yield node


def _at(node: Node, *keys: str) -> Node | None:
    """Return the value at a path of keys, or None."""
    for key in keys:
        entry = node.entry(key)
        if entry is None:
            return None
        node = entry.node
    return node


MIGRATIONS: dict[int, Callable[[Edit], None]] = {0: from_version_0}
"""By version, what brings a recipe to the next."""
