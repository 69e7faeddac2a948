"""Distributions of plugins as pip leaves them: a module and a .dist-info in one folder."""

from __future__ import annotations

import sys
from pathlib import Path

HEAD = '''\
import os, random, sys, time
from khichdi.plugins import *
from khichdi.plugins import hookimpl
from pydantic import BaseModel, ConfigDict, Field


class NoParams(Params):
    """No parameters."""


'''


def install(folder: Path, package: str, source: str, version: str = "1.2") -> Path:
    """Write a distribution whose module has this source, and return the file of the module."""
    module = folder / f"{package}.py"
    module.write_text(source)
    info = folder / f"{package}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[khichdi]\n{package} = {package}\n")
    (info / "RECORD").write_text(f"{package}.py,,\n")
    return module


def forget(*packages: str) -> None:
    """Take modules out of this process, for another test to import theirs."""
    for name in packages:
        sys.modules.pop(name, None)


def plugin(kind: str, body: str, hook: str | None = None) -> str:
    """Return a module with one plugin named `ill`, whose class has this body."""
    base = kind.title()
    kind = "filter" if kind == "editor" else kind
    lines = "\n".join(f"    {line}" for line in body.strip("\n").split("\n"))
    return f'''{HEAD}class Ill({base}[NoParams]):
    """Do what no plugin should."""

    name = "ill"

{lines}


@hookimpl
def {hook or f"khichdi_{kind}s"}():
    return [Ill]
'''
