"""Archives that somebody with bad intentions would send."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import pickle
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from khichdi.runtime.bundle.tar_format import laid_out
from khichdi.schema.bundle import Contents

NAMES = [
    "../escape", "../../escape", "a/../../escape", "/tmp/escape", "//escape", "./escape",
    "..\\escape", "C:\\escape", "C:escape", "\\\\host\\share", "a//b", "a/./b", "a/", "..",
    ".", "~/escape",  "a\nb", "a\x1b[31mb", "a\x7fb",
    "nul:", "a|b", 'a"b', "a<b", "a*b", "a?b", " a", "a ", "a.", "a/b.", "a/ /b", "x" * 300,
    "a/" * 600 + "b", "a\u202eb", "a\u200bb", "\ufeffa", "..%2fescape/..", "a/..", "...",
]  # fmt: skip
STEMS = [
    "escape",
    "record.json",
    "artifacts/x/y",
    "recipe/pico.yaml",
    "etc/cron.d/escape",
    ".ssh/authorized_keys",
    "a b/escape",
    "caf\u00e9/escape",
    "x" * 100 + "/escape",
    "__init__.py",
    "adapter/adapter_config.json",
]
WAYS = [
    "../{}", "../../{}", "../../../../../../../../{}", "a/../../{}", "recipe/../../{}",
    "a/b/c/../../../../{}", "./../{}", "..//{}", "a/..//../{}", "/{}", "//{}", "///{}", "/tmp/{}",
    "~/{}", "~root/{}", "./{}", "a/./{}", "a//{}", "{}/", "{}/.", "{}/..", "{}/../..", " {}",
    "{} ", "{}.", "..\\{}", "a\\..\\..\\{}", "\\{}", "\\\\host\\share\\{}", "\\\\?\\C:\\{}",
    "C:{}", "C:/{}", "c:\\{}", "{}:stream", "{}::$DATA", "{}\n", "{}\x00", "{}\x00.json", "\r{}",
    "\x1b[2J{}", "\u202e{}", "\u2066{}", "\ufeff{}", "{}\u200b", "{}|x", "{}*", "{}?",
    "<{}>", '"{}"',
    "../{}/../{}",
]  # fmt: skip


def hostile_names() -> list[str]:
    """Return 500 and more names that leave their folder, or mean another file somewhere."""
    made = [way.format(stem, stem) for way in WAYS for stem in STEMS]
    return list(dict.fromkeys([*NAMES, *made]))


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


def odd_archives(bundle: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield archives that are packed, headed or ordered in ways that readers of tar fall for."""
    raw = bundle.read_bytes()
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("../escape", b"owned")
    size = 512 + -(-int(raw[124:135], 8) // 512) * 512
    odd = {
        "packed by gzip": gzip.compress(raw),
        "packed by bzip2": bz2.compress(raw),
        "packed by xz": lzma.compress(raw),
        "a bomb of gzip": gzip.compress(bytes(8 << 20)),
        "a zip that escapes": zipped.getvalue(),
        "a zip behind a bundle": raw + zipped.getvalue(),
        "contents twice": raw[:size] + raw,
        "contents last": raw[size:-1024] + raw[:size] + bytes(1024),
        "two bundles": raw + raw,
        "no end": raw.rstrip(b"\0"),
        "one block of the end": raw[:size] + bytes(512),
        "contents alone": raw[:size] + bytes(10240),
        "a hole": raw[:size] + bytes(512) + raw[size:],
        "random bytes": hashlib.shake_256(b"khichdi").digest(20480),
        "a shell script": b"#!/bin/sh\ntouch /tmp/escape\n".ljust(10240, b"\0"),
        "a pickle": pickle.dumps({"a": 1}).ljust(10240, b"\0"),
    }
    for what, at, value in (
        ("another magic", 257, b"ustar  \0"),
        ("no magic", 257, bytes(8)),
        ("a negative size", 124, b"\xff" * 12),
        ("a size in base 256", 124, b"\x80" + bytes(3) + b"\xff" * 8),
        ("a size that is no number", 124, b"not a number"),
        ("an owner", 265, b"root"),
        ("a time", 136, b"77777777777"),
        ("a setuid mode", 100, b"0006755"),
        ("a link's name", 157, b"/etc/passwd"),
        ("a prefix", 345, b"../.."),
        ("a global header", 156, b"g"),
        ("a header of its own", 156, b"x"),
        ("a long name", 156, b"L"),
        ("a long link", 156, b"K"),
        ("a sparse file", 156, b"S"),
        ("a volume", 156, b"V"),
        ("a folder with a dump", 156, b"D"),
        ("another name for contents", 0, b"../bundle.json"),
    ):
        odd[what] = _headed(raw, at, value)
    for number, (what, content) in enumerate(odd.items()):
        target = folder / f"odd-{number}.bundle"
        target.write_bytes(content)
        yield what, target
    yield from _described(folder)


def _headed(raw: bytes, at: int, value: bytes) -> bytes:
    """Return a bundle whose first header says something else, with a sum that fits it."""
    header = bytearray(raw[:512])
    header[at : at + len(value)] = value
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + raw[512:]


def _described(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield archives by headers of the extended format, which say names and links of their own."""
    for number, (what, pax, kind, link) in enumerate(
        (
            ("a path of its own", {"path": "../escape"}, tarfile.REGTYPE, ""),
            ("an absolute path of its own", {"path": "/tmp/escape"}, tarfile.REGTYPE, ""),
            ("a link of its own", {"linkpath": "/etc/passwd"}, tarfile.SYMTYPE, "x"),
            ("a hard link outside", {}, tarfile.LNKTYPE, "../../escape"),
            ("a size of its own", {"size": "99999999999"}, tarfile.REGTYPE, ""),
            ("a sparse name", {"GNU.sparse.name": "../escape"}, tarfile.REGTYPE, ""),
            ("another character set", {"hdrcharset": "BINARY"}, tarfile.REGTYPE, ""),
        )
    ):
        target = folder / f"described-{number}.bundle"
        info = tarfile.TarInfo("bundle.json")
        info.pax_headers, info.type, info.linkname = pax, kind, link
        info.size = 5 if kind == tarfile.REGTYPE else 0
        behind = tarfile.TarInfo("bundle.json/escape")
        behind.size = 5
        with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
            archive.addfile(info, io.BytesIO(b"owned"))
            archive.addfile(behind, io.BytesIO(b"owned"))
        yield what, target
