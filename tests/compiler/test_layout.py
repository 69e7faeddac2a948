"""The canonical layout: nothing is lost, nothing changes its meaning, and twice is once."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_yaml import RandomYaml, any_recipe
from sizes import sized

from khichdi.compiler.validate import validate
from khichdi.compiler.yaml.formatter import WIDTH, format_recipe
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe, shipped_folder, shipped_recipes
from khichdi.schema.errors import RecipeError
from khichdi.schema.yaml_reader import parse

REGISTRY = load_registry()
FILES = sorted(shipped_folder().rglob("*.yaml"))


def formatted(text: str) -> str:
    raw = text.encode()
    return format_recipe(raw, parse(raw, "r.yaml"), REGISTRY)


def comments(text: str) -> Counter[str]:
    return Counter(re.findall(r"# comment \d+ of: this, \{one\}", text))


def holds(random: Random) -> bool:
    """Check the laws on one text; return whether it was YAML that a recipe can be."""
    text = RandomYaml(random).write(any_recipe(random))
    try:
        before = parse(text.encode(), "r.yaml").data
    except RecipeError:
        return False
    once = formatted(text)
    assert parse(once.encode(), "r.yaml").data == before
    assert comments(once) == comments(text)
    assert formatted(once) == once
    assert not re.search(r"\r|\n\n\n|^\n|\n\n\Z|[ \t]\n", once)
    return True


@settings(max_examples=sized(3_000, few=20))
@given(st.randoms())
def test_meaning_and_comments_are_kept_and_twice_is_once(random: Random) -> None:
    holds(random)


def test_nearly_every_generated_text_is_yaml_and_comments_are_many() -> None:
    count = sized(600, few=20)
    texts = [RandomYaml(Random(seed)).write(any_recipe(Random(seed))) for seed in range(count)]
    assert sum(holds(Random(seed)) for seed in range(count)) > 0.9 * count
    assert sum(sum(comments(text).values()) for text in texts) > 5 * count


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_shipped_file_is_in_canonical_layout(file: Path) -> None:
    text = file.read_text()
    assert formatted(text) == text


@pytest.mark.parametrize("file", shipped_recipes(), ids=lambda file: file.name)
def test_a_shipped_recipe_in_another_manner_formats_to_the_same_meaning(
    file: Path, tmp_path: Path
) -> None:
    shipped = validate(file.name, tmp_path, open_recipe, REGISTRY).recipe
    data = parse(file.read_bytes(), file.name).data
    if "extends" in data:
        data["extends"] = str(shipped_folder() / data["extends"])
    for seed in range(sized(5, few=1)):
        text = RandomYaml(Random(seed)).write(data)
        (tmp_path / "mine.yaml").write_text(formatted(text))
        mine = validate("mine.yaml", tmp_path, open_recipe, REGISTRY).recipe
        assert mine == shipped


EXAMPLES = {
    "order of keys": (
        "train: {learning_rate: 1.0e-4, template: {use: alpaca}, use: qlora}\n"
        "zz: 1\nname: n\nseed: 0x10\nextends: p.yaml\ndescription: d\nrecipe: 1\n",
        "recipe: 1\nname: n\ndescription: d\nextends: p.yaml\nseed: 0x10\n\n"
        "train:\n  use: qlora\n  template: {use: alpaca}\n  learning_rate: 1.0e-4\n\nzz: 1\n",
    ),
    "what fits is on one line": (
        "data:\n  a:\n    source:\n      include:\n      - x1\n      - 'y1'\n      use: files\n"
        "  b: {sample: {use: all}}\n",
        "data:\n  a:\n    source: {use: files, include: [x1, y1]}\n\n"
        "  b:\n    sample: {use: all}\n",
    ),
    "a comment inside makes a block": (
        "model: {base: {repo: a/b, # why\n use: huggingface}} # end\n",
        "model: # end\n  base:\n    use: huggingface\n    repo: a/b # why\n",
    ),
    "comments go with what they are about": (
        "# file\n\n# of seed\n\nseed: 1 # one\n# of name\nname: n\nrules:\n  # inside\n"
        "  - use: licenses\n  # after\n# last\n",
        "# file\n\n# of seed\n\n# of name\nname: n\nseed: 1 # one\n\nrules:\n  # inside\n"
        "  - {use: licenses}\n  # after\n# last\n",
    ),
    "quotes": (
        """name: "r"\ndescription: 'no'\nzz: ["5", 'a b', "it's", '"', 'x: y', "\\n", ~]\n""",
        """name: r\ndescription: "no"\nzz: ["5", a b, "it's", '"', "x: y", "\\n", null]\n""",
    ),
    "text of several lines": (
        "zz:\n    a: |\n        x\n          y\n\n    b: >-\n        p\n        q\n"
        "    c: u\n      v\n",
        "zz:\n  a: |\n    x\n      y\n\n  b: >-\n    p\n    q\n  c: u\n    v\n",
    ),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_layout(example: str) -> None:
    before, after = EXAMPLES[example]
    assert formatted(before) == after
    assert formatted(after) == after


def test_a_line_is_as_wide_as_allowed_and_no_wider() -> None:
    for width in range(60, 90):
        lines = formatted(f"model:\n  base: {{use: files, folder: {'x' * width}}}\n").splitlines()
        assert (len(lines) == 2) == (len(f"  base: {{use: files, folder: {'x' * width}}}") <= WIDTH)


def test_a_line_for_the_editor_stays_first() -> None:
    text = "# yaml-language-server: $schema=s.json\n# of name\nname: n\nrecipe: 1\n"
    assert formatted(text) == (
        "# yaml-language-server: $schema=s.json\nrecipe: 1\n# of name\nname: n\n"
    )


@settings(max_examples=sized(1_000, few=50))
@given(st.text(alphabet="ab1:-?#[]{},'\"|>\\ \n!~.e%&*\t\r\x85\u2028é", max_size=60))
def test_any_text_a_recipe_can_be_keeps_its_meaning(text: str) -> None:
    raw = b"zz:\n  " + text.replace("\n", "\n  ").encode()
    try:
        before = parse(raw, "r.yaml").data
    except RecipeError:
        return
    after = formatted(raw.decode())
    assert parse(after.encode(), "r.yaml").data == before
    assert formatted(after) == after
