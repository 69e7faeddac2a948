"""Every plugin that ships passes the kit that every plugin author gets; so do the starters."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tiers import HEAVY

from khichdi.plugins.kinds import KINDS
from khichdi.plugins.registry import load_registry
from khichdi.plugins.testing import PluginTests, kit_for

RECORD = Path(__file__).parent / "versions.json"
ROW = '{"instruction": "i", "input": "a", "output": "b"}'
TURNS = '[{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]'
NI = """{"Definition": ["Do it."], "Categories": ["Question Answering"], "Domains": ["History"],
"Input_language": ["English"], "Output_language": ["English"], "Source": ["own"],
"Instances": [{"id": "task1-1", "input": "a", "output": ["b"]}]}"""
FILES: dict[str, dict[str, str]] = {
    "source/files": {"data/a.jsonl": ROW, "data/b.jsonl": ROW},
    "reader/alpaca": {"a.json": f"[{ROW}, {ROW}]"},
    "reader/jsonl": {"a.jsonl": f"{ROW}\n{ROW}\n", "b/c.jsonl": ROW},
    "reader/json": {"a.json": f"[{ROW}, {ROW}]"},
    "reader/csv": {"a.csv": "instruction,input,output\ni,a,b\nj,c,d\n"},
    "reader/conversations": {"a.jsonl": f'{{"conversations": {TURNS}}}\n'},
    "reader/natural-instructions": {"tasks/task1_x.json": NI},
    "source/my-plugin": {"rows.jsonl": ROW},
    "reader/my-plugin": {"a.tsv": "2 + 2?\t4\n3 + 3?\t6\n"},
}
STARTERS = [import_module(f"khichdi.plugins.starter.examples.{kind}").MyPlugin for kind in KINDS]
"""What `recipe plugins new` starts from: it is nobody's, so its version is not recorded."""


def _marks(kit: type[PluginTests], name: str) -> list[Any]:
    """Return the marks of what trains or generates, and of what needs torch or a process."""
    if name.startswith(("test_trains", "test_scores", "test_measures")):
        return [pytest.mark.slow]
    source = inspect.getsource(getattr(kit, name))
    runs = name not in vars(PluginTests) and HEAVY & set(kit.plugin.requires)
    heavy = runs or re.search(r"self\.needs\(|make_base|subprocess", source)
    return [pytest.mark.heavy] if heavy else []


def cases() -> list[Any]:
    found = []
    shipped = [e.plugin for e in load_registry() if e.distribution.name == "khichdi"]
    for plugin in [*shipped, *STARTERS]:
        key = f"{plugin.kind}/{plugin.name}"
        given: dict[str, Any] = {"plugin": plugin, "record": RECORD}
        if key in FILES:
            given["files"] = FILES[key]
        kit = type("Kit", (kit_for(plugin.kind),), given)
        found += [
            pytest.param(
                kit(), name, id=f"{key}-{name.removeprefix('test_')}", marks=_marks(kit, name)
            )
            for name in dir(kit)
            if name.startswith("test_") and not (plugin in STARTERS and "version" in name)
        ]
    return found


@pytest.mark.parametrize(("kit", "test"), cases())
def test_a_plugin_that_ships_conforms(kit: PluginTests, test: str) -> None:
    getattr(kit, test)()
