"""What the documents show is what happens."""

from __future__ import annotations

import re
import textwrap
import types
from pathlib import Path

import pyarrow as pa
import pytest

from khichdi.cli.main import main
from khichdi.plugins import hookimpl
from khichdi.plugins.registry import load_registry

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(text: str, kind: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [body for word, body in found if word == kind]


def test_the_recipe_of_the_readme_is_valid_and_its_errors_are_real(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (recipe,) = blocks(README, "yaml")
    file = tmp_path / "capitals.yaml"
    file.write_text(recipe)
    assert main(["validate", "capitals.yaml"]) == 0
    capsys.readouterr()
    file.write_text(recipe.replace("r: 16", "lora_rank: 16").replace("alpaca", "alpaka"))
    assert main(["validate", "capitals.yaml"]) == 2
    shown = next(b for b in blocks(README, "") if "recipe validate" in b)
    assert capsys.readouterr().out == shown.split("\n", 1)[1]


def test_the_hashes_of_the_readme_are_the_shipped_recipes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["hash", "quickstart"]) == 0
    assert capsys.readouterr().out.strip() in README


def test_the_filter_of_contributing_works_as_it_stands() -> None:
    code = (ROOT / "CONTRIBUTING.md").read_text().split("```python\n")[1].split("   ```")[0]
    module = types.ModuleType("stranger")
    exec(textwrap.dedent(code), module.__dict__)
    module.khichdi_filters = hookimpl(lambda: [module.NoShouting])  # type: ignore[attr-defined]
    module.khichdi_filters.__name__ = "khichdi_filters"
    plugin = load_registry(extra=[module]).create("filter", "no-shouting", {"share": 0.4})
    batch = pa.record_batch({"input": ["STOP IT", "Stop it", ""]})
    assert plugin.reasons(batch) == ["shouting", None, None]
