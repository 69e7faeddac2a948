"""Sixteen defects that a recipe can have: each command says the same, in a sentence, with a place.

They are those that other tools were measured with: a traceback, silence or a hang in many.
"""

from __future__ import annotations

import pytest

from .conftest import RECIPE, Workdir
from .test_hostile import bomb

DEFECTS: dict[str, tuple[bytes | str | None, str]] = {
    "a misspelt learning rate": (
        RECIPE.replace("learning_rate", "learing_rate"),
        "pico.yaml:29:3: unknown parameter `learing_rate`",
    ),
    "a misspelt rank of the adapter": (
        RECIPE.replace("r: 8", "rr: 8"),
        "pico.yaml:7:24: unknown parameter `rr`",
    ),
    "an unknown key at the top": (RECIPE + "warmup_stepz: 1\n", "unknown key `warmup_stepz`"),
    "a wrong type": (
        RECIPE.replace("num_epochs: 3", "num_epochs: lots"),
        "pico.yaml:27:15: `num_epochs` must be a whole number, got 'lots'",
    ),
    "a negative batch": (
        RECIPE.replace("micro_batch_size: 1", "micro_batch_size: -4"),
        "pico.yaml:25:21: `micro_batch_size` must be at least 1, got -4",
    ),
    "a required key missing": (
        RECIPE.replace('  base: {use: files, folder: base, include: ["*"]}\n', ""),
        "pico.yaml:4:1: `model` needs `base`",
    ),
    "a key twice": (RECIPE + "seed: 6\n", "`seed` is given twice; the first is on line 3"),
    "a tab": (RECIPE.replace("  use: qlora", "\tuse: qlora"), "pico.yaml:22:1: not YAML: a tab"),
    "an alias bomb": (bomb(), "pico.yaml:1:4: anchors and aliases"),
    "an alias bomb behind a recipe": (RECIPE + bomb(), "anchors and aliases"),
    "latin-1": (RECIPE.replace("pico ", "picó ").encode("latin-1"), "pico.yaml:2:10: not UTF-8"),
    "utf-16": (RECIPE.encode("utf-16"), "pico.yaml:1:1: not UTF-8"),
    "an empty file": ("", "pico.yaml:1:1: the file is empty"),
    "a list": ("- recipe: 1\n", "pico.yaml:1:1: a recipe is a mapping"),
    "one value": ("recipe\n", "pico.yaml:1:1: a recipe is a mapping"),
    "no such file": (None, "there is no recipe pico.yaml"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_validate_plan_and_run_say_the_same(workdir: Workdir, name: str) -> None:
    text, expected = DEFECTS[name]
    if text is None:
        workdir.recipe.unlink()
    else:
        workdir.recipe.write_bytes(text if isinstance(text, bytes) else text.encode())
    document = workdir.json("validate", "pico.yaml", status=2)
    assert expected in workdir.call("validate", "pico.yaml")[1]
    for command in ("plan", "run"):
        status, out, err = workdir.call(command, "pico.yaml")
        assert (status, out) == (2, "")
        assert expected in err
        same = workdir.json(command, "pico.yaml", status=2)
        if text is not None:
            assert same["diagnostics"] == document["diagnostics"]
            assert all(d["file"] == "pico.yaml" and d["line"] >= 1 for d in same["diagnostics"])


def test_an_editor_gets_ranges_codes_and_suggestions(workdir: Workdir) -> None:
    workdir.edit("r: 8", "lora_rank: 8")
    (found,) = workdir.json("validate", "pico.yaml", status=2)["diagnostics"]
    assert found["range"] == {
        "start": {"line": 7, "column": 24},
        "end": {"line": 7, "column": 33},
    }
    assert (found["file"], found["code"]) == ("pico.yaml", "unknown-key")
    assert found["suggestion"].endswith("name for `r`")
