"""Changes of documents and files of a run, and a way to undo them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from khichdi.runtime.audit.audited_run import Claim


class Pristine:
    """A store as it is now, to put it back after an injection."""

    def __init__(self, root: Path, copy: Path) -> None:
        self.root, self.copy = root, copy
        shutil.copytree(root, copy, symlinks=True)
        self._listing = _listing(root)

    def restore(self) -> None:
        """Put back what is not as it was."""
        now = _listing(self.root)
        for name in now.keys() | self._listing.keys():
            if now.get(name) == self._listing.get(name):
                continue
            (self.root / name).unlink(missing_ok=True)
            if name in self._listing:
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.copy / name, self.root / name)
        for folder in (self.root / "artifacts").iterdir():
            if not any(folder.iterdir()):
                folder.rmdir()
        self._listing = _listing(self.root)


def _listing(root: Path) -> dict[str, Any]:
    found = {}
    for path in root.rglob("*"):
        if path.is_symlink() or path.is_file():
            status = path.lstat()
            name = path.relative_to(root).as_posix()
            found[name] = (status.st_size, status.st_mtime_ns, status.st_mode)
    return found


def in_document(
    claim: Claim, name: str, model: Any, change: Callable[[Any], None]
) -> Callable[[], None]:
    def inject() -> None:
        path = claim.folder / name
        value = model.from_json(path.read_bytes(), name).to_json()
        change(value)
        path.write_text(model.model_validate(value).to_text())

    return inject


def leaves(value: Any, path: str = "", places: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the place of every value that is no mapping and no list, in words and as keys."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}".lstrip("."), (*places, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]", (*places, index))
    else:
        yield path, places


def move(value: Any, places: Any) -> None:
    """Change the value at a place to another of its type."""
    for part in places[:-1]:
        value = value[part]
    old = value[places[-1]]
    if isinstance(old, bool):
        new: Any = not old
    elif isinstance(old, int | float):
        new = old + 1
    else:
        new = f"{old}x" if isinstance(old, str) else 1
    value[places[-1]] = new


def appended(path: Path) -> Callable[[], None]:
    return lambda: void(path.write_bytes(path.read_bytes() + b"\n# more\n"))


def flipped(path: Path) -> Callable[[], None]:
    def inject() -> None:
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        rewrite(path, bytes(raw))

    return inject


def linked(path: Path) -> Callable[[], None]:
    def inject() -> None:
        copy = path.parent.parent / f"copy-{path.name}"
        shutil.copyfile(path, copy)
        path.unlink()
        path.symlink_to(copy)

    return inject


def removed(path: Path) -> Callable[[], None]:
    return path.unlink


def added(path: Path) -> Callable[[], None]:
    return lambda: void(path.write_text("x"))


def rewrite(path: Path, raw: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(raw)


def void(_: object) -> None:
    """Take a value and give none."""
