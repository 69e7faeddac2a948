"""Archives that somebody with bad intentions would send."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from khichdi.runtime.bundle.layout import laid_out
from khichdi.schema.bundle import Contents

NAMES = [
    "../escape", "../../escape", "a/../../escape", "/tmp/escape", "//escape", "./escape",
    "..\\escape", "C:\\escape", "C:escape", "\\\\host\\share", "a//b", "a/./b", "a/", "..",
    ".", "~/escape",  "a\nb", "a\x1b[31mb", "a\x7fb",
    "nul:", "a|b", 'a"b', "a<b", "a*b", "a?b", " a", "a ", "a.", "a/b.", "a/ /b", "x" * 300,
    "a/" * 600 + "b", "a\u202eb", "a\u200bb", "\ufeffa", "..%2fescape/..", "a/..", "...",
]  # fmt: skip
TYPES = {
    "a symbolic link": tarfile.SYMTYPE,
    "a hard link": tarfile.LNKTYPE,
    "a device": tarfile.CHRTYPE,
    "a block device": tarfile.BLKTYPE,
    "a pipe": tarfile.FIFOTYPE,
    "a folder": tarfile.DIRTYPE,
    "a contiguous file": tarfile.CONTTYPE,
    "an unknown type": b"Z",
}


OWNED = "sha256:" + hashlib.sha256(b"owned").hexdigest()
CLASHES = {
    "a name twice": "record.json",
    "a case clash": "Record.json",
    "a file below a file": "record.json/x",
    "one too many": "extra",
}


PAIRS = [
    ("a.json", "A.json"),
    ("caf\u00e9", "cafe\u0301"),
    ("stra\u00dfe", "STRASSE"),
    ("a", "a/b"),
    ("A", "a/b"),
    ("bundle.json", "x"),
]


def members(bundle: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(bundle) as archive:
        found = [(one, archive.extractfile(one)) for one in archive]
        return [(one, stream.read() if stream else b"") for one, stream in found]


def with_member(bundle: Path, target: Path, info: tarfile.TarInfo, raw: bytes) -> None:
    """Write a bundle again with one more member at its end."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for one, content in members(bundle):
            archive.addfile(one, io.BytesIO(content))
        archive.addfile(info, io.BytesIO(raw))


def with_contents(target: Path, names: list[str]) -> None:
    """Write a bundle whose contents, seal and bytes agree with each other on hostile names."""
    files = {name: {"size": 5, "sha256": OWNED} for name in names}
    honest = Contents(recipe="x", recipe_hash=OWNED, result_hash=OWNED, files={})
    value = {**honest.to_json(), "files": files}
    text = Contents._text({**value, "seal": Contents._seal(value)})
    members: list[tuple[str, Path | bytes]] = [("bundle.json", text.encode())]
    members += [(name, b"owned") for name in names]
    target.write_bytes(b"".join(laid_out(members)))


def hostile(bundle: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield hostile bundles, each an honest one with something more."""
    for number, name in enumerate(NAMES):
        info = tarfile.TarInfo(name)
        info.size = 5
        target = folder / f"name-{number}.bundle"
        with_member(bundle, target, info, b"owned")
        yield f"the name {name[:40]!r}", target
        with_contents(folder / f"contents-{number}.bundle", [name])
        yield f"the name {name[:40]!r} in the contents", folder / f"contents-{number}.bundle"
    for number, (a, b) in enumerate(PAIRS):
        with_contents(folder / f"pair-{number}.bundle", [a, b])
        yield f"{a!r} and {b!r}", folder / f"pair-{number}.bundle"
    for what, kind in TYPES.items():
        info = tarfile.TarInfo("recipe/link")
        info.type, info.linkname = kind, "/etc/passwd"
        target = folder / f"{what.replace(' ', '-')}.bundle"
        with_member(bundle, target, info, b"")
        yield what, target
    for what, name in CLASHES.items():
        info = tarfile.TarInfo(name)
        info.size = 5
        target = folder / f"{what.replace(' ', '-')}.bundle"
        with_member(bundle, target, info, b"owned")
        yield what, target
    raw = bundle.read_bytes()
    for what, changed in {
        "something behind the end": raw + b"more",
        "nothing": b"",
        "an empty archive": b"\0" * 10240,
        "no archive": b"PK\x03\x04" + b"x" * 5000,
        "half of it": raw[: len(raw) // 2],
        "a size beyond the end": raw[:124] + b"77777777777" + raw[135:],
    }.items():
        target = folder / f"{what.replace(' ', '-')}.bundle"
        target.write_bytes(changed)
        yield what, target
