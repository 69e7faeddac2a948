"""Whatever the bytes are, the only exception of reading and checking a recipe is the recipe error.

Bytes and texts go to the parser; recipes with parts changed, moved, doubled and taken away go
through the whole check.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from broken import REGISTRY, slip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sizes import sized

from khichdi.compiler.load import load
from khichdi.compiler.validate import validate
from khichdi.project.bundled_recipes import open_recipe, shipped_folder
from khichdi.schema.errors import CODES, Diagnostic, InputError, RecipeError
from khichdi.schema.yaml_reader import parse

QUICKSTART = (shipped_folder() / "quickstart.yaml").read_bytes()
PIECES = [
    "recipe: 1\n", "a: ", "- ", "? ", ": ", "[", "]", "{", "}", ",", "\n", "  ", "\t", "'", '"',
    "|\n", ">-\n", "&a ", "*a", "!!int ", "!x ", "%YAML 1.2\n", "---\n", "...\n", "#", "<<: ",
    "null", "0x1F", "1e400", ".nan", "\r", "\x85", "\u2028", "\ufeff", "é", "😀", "@", "`",
    "\\u0000", "\\ud800", "\0",
]  # fmt: skip
JUNK: list[Any] = [
    None, True, 0, -1, 1.5, 2**60, "", "x", "lora", "files", [], {}, [1], {"use": "files"}, [{}],
    {"use": []}, {"use": {}}, {"use": None}, [{"use": "max-words"}, 1], [[[]]], {"a": {"b": 1}},
]  # fmt: skip

SLOW = list(HealthCheck)
pieces = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=60).map("".join)


def edited(base: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Return bytes with stretches replaced."""
    for place, length, put in edits:
        at = place % (len(base) + 1)
        base = base[:at] + put + base[at + length :]
    return base


edits = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(0, 30), st.binary(max_size=6)), max_size=6
)
raws = (
    st.binary(max_size=300)
    | pieces.map(lambda text: text.encode("utf-8", "surrogatepass"))
    | edits.map(lambda made: edited(QUICKSTART, made))
)


def told(work: Callable[[], object]) -> tuple[Diagnostic, ...]:
    """Return what a recipe error says of the input; any other exception goes through."""
    try:
        work()
    except RecipeError as error:
        return error.diagnostics
    except InputError:
        pass
    return ()


def is_well_told(found: tuple[Diagnostic, ...]) -> bool:
    return all(
        d.line >= 1 and d.column >= 1 and d.code in CODES and str(d).startswith(d.file)
        for d in found
    )


def parses(raw: bytes) -> None:
    assert is_well_told(told(lambda: parse(raw, "f.yaml")))


def validates(raw: bytes) -> None:
    def opened(name: str, folder: Path) -> tuple[Path, bytes]:
        return (folder / name, raw) if name == "f.yaml" else open_recipe(name, folder)

    assert is_well_told(told(lambda: validate("f.yaml", shipped_folder(), opened, REGISTRY)))


def spoilt(seed: int) -> bytes:
    """Return a shipped recipe with a few of its values changed, moved, doubled or taken away."""
    chance = random.Random(seed)
    data = copy.deepcopy(WHOLE)
    for _ in range(chance.randint(1, 4)):
        holder, key = chance.choice(list(places(data)))
        action = chance.randrange(5)
        if action == 0:
            holder[key] = copy.deepcopy(chance.choice(JUNK))
        elif action == 1:
            del holder[key]
        elif action == 2:
            other, there = chance.choice(list(places(data)))
            holder[key] = copy.deepcopy(other[there])
        elif action == 3 and isinstance(holder, dict):
            holder[slip(str(key), chance) or "x"] = holder.pop(key)
        elif action == 4 and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        if not data:
            break
    return json.dumps(data).encode()


def places(value: Any) -> Any:
    """Yield (mapping or list, key) of every value in a tree."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


WHOLE = load("quickstart", Path.cwd(), open_recipe).data


@settings(max_examples=sized(90_000, few=100), suppress_health_check=SLOW)
@given(raws)
def test_bytes_give_a_recipe_error_or_nothing(raw: bytes) -> None:
    parses(raw)


@settings(max_examples=sized(10_000, few=40), suppress_health_check=SLOW)
@given(st.integers(0, 2**62))
def test_spoilt_recipes_give_a_recipe_error_or_nothing(seed: int) -> None:
    validates(spoilt(seed))


@settings(max_examples=sized(1_000, few=20), suppress_health_check=SLOW)
@given(raws)
def test_bytes_are_checked_to_the_end(raw: bytes) -> None:
    validates(raw)
