"""A fresh environment that sees this one's libraries: what is installed into it goes with it."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PIP = ("pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation")


@dataclass
class Fresh:
    """A virtual environment; `variables` are set for all that runs in it."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def call(self, *words: str, cwd: Path) -> tuple[int, str, str]:
        """Run a module of Python; return its status, and what it printed."""
        done = subprocess.run(
            [str(self.folder / "bin" / "python"), "-m", *words],
            cwd=cwd,
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        return done.returncode, done.stdout, done.stderr

    def install(self, *words: str, cwd: Path) -> None:
        """Install distributions from folders, without the network."""
        code, out, err = self.call(*PIP, *words, cwd=cwd)
        assert code == 0, out + err

    def recipe(self, *words: str, cwd: Path, status: int = 0) -> str:
        """Run a command of khichdi; return what it printed to both."""
        code, out, err = self.call("khichdi.cli", *words, cwd=cwd)
        assert code == status, out + err
        return out + err

    def json(self, *words: str, cwd: Path, status: int = 0) -> Any:
        """Run a command of khichdi with `--json`."""
        code, out, err = self.call("khichdi.cli", *words, "--json", cwd=cwd)
        assert code == status, out + err
        return json.loads(out)


def make_fresh(folder: Path, **variables: str) -> Fresh:
    """Make an environment; pip and setuptools are those of this one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    inner = next((folder / "lib").glob("python*")) / "site-packages"
    # `addsitedir` reads the .pth files there too: what is installed as editable is seen.
    lines = [f"import site; site.addsitedir({place!r})" for place in site.getsitepackages()]
    (inner / "beneath.pth").write_text("\n".join(lines) + "\n")
    return Fresh(folder, variables)
