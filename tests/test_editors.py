"""Editors and type checkers see the package, whether it is installed as editable or as a wheel."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLUGIN = '''\
from khichdi.plugins import Filter, Params
from pydantic import Field


class NoShoutingParams(Params):
    share: float = Field(0.5, gt=0, le=1, description="Largest share of upper-case letters.")


class NoShouting(Filter[NoShoutingParams]):
    """Drop rows that are mostly upper case."""

    name = "no-shouting"

    def reasons(self, batch):
        reveal_type(self.params.share)
        return [None] * batch.num_rows
'''
MYPY = (sys.executable, "-m", "mypy", "--check-untyped-defs")
SOURCES = ("schema", "plugins", "compiler", "runtime", "project", "cli", "recipes", "src")


@pytest.fixture(scope="module")
def from_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Python with the package's wheel, which sees this one's other libraries."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in filter(lambda n: (ROOT / n).is_dir(), SOURCES):
        shutil.copytree(ROOT / name, source / name, symlinks=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "import sys, setuptools.build_meta as b; b.build_wheel(sys.argv[1])"
    command = [sys.executable, "-c", build, str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    venv.create(folder / "venv", with_pip=False)
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "venv" / "bin" / "python"


def reported(python: Path, folder: Path) -> list[tuple[str, str]]:
    """Return the errors and revealed types of basedpyright, each with its severity."""
    (folder / "plugin.py").write_text(PLUGIN)
    done = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", python, "plugin.py"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout)["generalDiagnostics"]
    return [(d["severity"], d["message"]) for d in found if d["severity"] != "warning"]


REVEALED = [("information", 'Type of "self.params.share" is "float"')]


def test_basedpyright_sees_an_editable_install(tmp_path: Path) -> None:
    pytest.importorskip("basedpyright")
    assert reported(Path(sys.executable), tmp_path) == REVEALED


def test_basedpyright_sees_a_wheel(tmp_path: Path, from_wheel: Path) -> None:
    pytest.importorskip("basedpyright")
    assert reported(from_wheel, tmp_path) == REVEALED


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("installed", ["editable", "wheel"])
def test_mypy_sees_the_package(
    installed: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    wheel = installed == "wheel"
    python = request.getfixturevalue("from_wheel") if wheel else Path(sys.executable)
    (tmp_path / "plugin.py").write_text(PLUGIN)
    done = subprocess.run(
        [*MYPY, "--python-executable", python, "plugin.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert 'plugin.py:15: note: Revealed type is "float"' in done.stdout, done.stdout
    assert "Success: no issues found" in done.stdout


def test_a_wheel_holds_every_module_and_knows_its_version(from_wheel: Path) -> None:
    code = "import khichdi; print(khichdi.__version__, khichdi.__file__)"
    done = subprocess.run([from_wheel, "-c", code], capture_output=True, text=True, check=True)
    version, place = done.stdout.split()
    package = Path(place).parent
    assert version == "0.1.0"
    assert from_wheel.parent.parent in package.parents
    ours = {p.relative_to(ROOT).as_posix() for n in SOURCES[:-1] for p in (ROOT / n).rglob("*.py")}
    assert {p.relative_to(package).as_posix() for p in package.rglob("*.py")} == ours | {
        "__init__.py"
    }
