"""Broken recipes: every shipped recipe with one thing wrong, by a seed; and what is said of each.

Kinds: misspelt keys, plugin names and values (two letters swapped, one dropped, doubled, or another
in its place), wrong types, values out of range, keys twice, keys taken away, words of other tools,
our words in wrong places, and text that is not YAML.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from khichdi.compiler.bind import bound_model
from khichdi.compiler.foreign_terms import TOOLS, terms_of
from khichdi.compiler.language.schema_walk import field_at
from khichdi.compiler.load import load
from khichdi.compiler.validate import validate
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe, shipped_folder, shipped_recipes
from khichdi.schema.errors import Diagnostic, InputError, RecipeError
from khichdi.schema.yaml_reader import Parsed, parse

REGISTRY = load_registry()


@dataclass(frozen=True)
class Case:
    """A broken recipe; a typo also says where it is and what was meant."""

    kind: str
    recipe: str
    text: str
    line: int | None = None
    word: str | None = None


@dataclass
class Answer:
    """What was said of a case: diagnostics, or the fault of ours that came instead."""

    case: Case
    found: tuple[Diagnostic, ...] = ()
    fault: str | None = None

    @property
    def refused(self) -> bool:
        return bool(self.found)

    @property
    def missed(self) -> bool:
        typo = self.case.word is not None and not self.right_word
        return not self.placed or typo or (self.case.line is not None and not self.right_line)

    @property
    def placed(self) -> bool:
        lines = self.case.text.count("\n") + 1
        return bool(self.found) and all(
            d.line >= 1 and d.column >= 1 and (d.line <= lines or d.file != "broken.yaml")
            for d in self.found
        )

    @property
    def right_line(self) -> bool:
        return any(d.line == self.case.line for d in self.found)

    @property
    def right_word(self) -> bool:
        words = (d.suggestion or "" for d in self.found if d.line == self.case.line)
        return any(f"`{self.case.word}`" in text for text in words)


@dataclass
class Tally:
    """The answers of one kind of case."""

    answers: list[Answer] = field(default_factory=list)

    def share(self, word: str) -> float:
        return sum(getattr(answer, word) for answer in self.answers) / len(self.answers)


def answer(case: Case) -> Answer:
    """Validate a case in the folder of the shipped recipes."""

    def opened(name: str, folder: Path) -> tuple[Path, bytes]:
        if name == "broken.yaml":
            return folder / name, case.text.encode()
        return open_recipe(name, folder)

    try:
        validate("broken.yaml", shipped_folder(), opened, REGISTRY)
    except RecipeError as error:
        return Answer(case, error.diagnostics)
    except InputError as error:
        return Answer(case, fault=f"no place: {error}")
    except Exception as error:
        return Answer(case, fault=f"{type(error).__name__}: {error}")
    return Answer(case)


def cases(seed: int, typos: int = 400, others: int | None = None) -> list[Case]:
    """Return the corpus of a seed: so many typos, and so many of each other kind, or all."""
    chance = random.Random(seed)
    found: list[Case] = []
    misspelt: list[Case] = []
    for path in shipped_recipes():
        text = path.read_text()
        parsed = parse(text.encode(), path.name)
        merged = load(path.name, shipped_folder(), open_recipe).data
        misspelt += _typos(path.stem, text, parsed, merged, chance)
        for kind in (_types, _ranges, _twice, _removed, _foreign, _misplaced, _syntax):
            found += kind(path.stem, text, parsed, chance)
    kinds: dict[str, list[Case]] = {}
    for case in found:
        kinds.setdefault(case.kind, []).append(case)
    chosen = [
        case
        for known in kinds.values()
        for case in (known if others is None else chance.sample(known, min(others, len(known))))
    ]
    return chosen + chance.sample(misspelt, min(typos, len(misspelt)))


# ---- typos ----------------------------------------------------------------------------------


def slip(word: str, chance: random.Random) -> str | None:
    """Return a word with one slip, or None where it makes no other word."""
    at = chance.randrange(len(word))
    letter = chance.choice(string.ascii_lowercase)
    slips = {
        "swap": word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :],
        "drop": word[:at] + word[at + 1 :],
        "double": word[: at + 1] + word[at:],
        "substitute": word[:at] + letter + word[at + 1 :],
    }
    made = slips[chance.choice(sorted(slips))]
    return made if made not in ("", word) and made[0].isalpha() else None


def _typos(
    recipe: str, text: str, parsed: Parsed, merged: Any, chance: random.Random
) -> Iterator[Case]:
    root = bound_model(REGISTRY)
    for path, mark in parsed.keys.items():
        word = path[-1]
        free = len(path) == 2 and path[0] == "data"
        if isinstance(word, str) and not free:
            for _ in range(4):
                made = slip(word, chance)
                if made:
                    broken = _put(text, parsed, mark, word, made)
                    yield Case("misspelt key", recipe, broken, mark.line, word)
    for path, mark in parsed.values.items():
        value: Any = _at(parsed.data, path)
        about = field_at(root, merged, path) if path else None
        kind = "misspelt plugin" if path[-1:] == ("use",) else "misspelt value"
        known = kind == "misspelt plugin" or (about and f"'{value}'" in str(about.annotation))
        for _ in range(2 if known and isinstance(value, str) else 0):
            made = slip(value, chance)
            if made and not re.search(r"[-_]$", made):
                yield Case(kind, recipe, _put(text, parsed, mark, value, made), mark.line, value)


def _put(text: str, parsed: Parsed, mark: Any, old: str, new: str) -> str:
    lines = text.split("\n")
    line = lines[mark.line - 1]
    start = mark.column - 1
    assert line[start : start + len(old)] == old, (line, old)
    lines[mark.line - 1] = line[:start] + new + line[start + len(old) :]
    return "\n".join(lines)


def _at(data: Any, path: Iterable[Any]) -> Any:
    for part in path:
        data = data[part]
    return data


# ---- all others -----------------------------------------------------------------------------


def _scalars(parsed: Parsed, *types: type) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    for path, mark in parsed.values.items():
        value = _at(parsed.data, path)
        if path and type(value) in types:
            yield path, mark, value


def _replace(text: str, mark: Any, new: str) -> str:
    lines = text.split("\n")
    line, start = lines[mark.line - 1], mark.column - 1
    lines[mark.line - 1] = line[:start] + new + line[start + mark.length :]
    return "\n".join(lines)


def _types(recipe: str, text: str, parsed: Parsed, _: random.Random) -> Iterator[Case]:
    for path, mark, _value in _scalars(parsed, int, float, bool):
        yield Case("wrong type", recipe, _replace(text, mark, "lots"), mark.line)
        yield Case("wrong type", recipe, _replace(text, mark, "[1, 2]"), mark.line)
        if path != ("recipe",):
            yield Case("wrong type", recipe, _replace(text, mark, "{a: 1}"), mark.line)
    for path, mark, _value in _scalars(parsed, str):
        if path[-1] != "description":
            yield Case("wrong type", recipe, _replace(text, mark, "{a: 1}"), mark.line)


def _ranges(recipe: str, text: str, parsed: Parsed, _: random.Random) -> Iterator[Case]:
    for path, mark, value in _scalars(parsed, int, float):
        negative = str(-abs(value) - 1)  # a cosine may be -0.8
        yield Case("out of range", recipe, _replace(text, mark, negative), mark.line)
        if path[-1] == "dropout":
            yield Case("out of range", recipe, _replace(text, mark, "90"), mark.line)
        yield Case("out of range", recipe, _replace(text, mark, ".inf"), mark.line)


def _lone_lines(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield (index, indentation, key) of lines that are one key and its plain value."""
    for index, line in enumerate(text.split("\n")):
        found = re.fullmatch(r"( *)([a-z_]+): [^#]*( #.*)?", line)
        if found:
            yield index, found[1], found[2]


def _twice(recipe: str, text: str, parsed: Parsed, _: random.Random) -> Iterator[Case]:
    lines = text.split("\n")
    for index, _indent, _key in _lone_lines(text):
        doubled = "\n".join([*lines[: index + 1], lines[index], *lines[index + 1 :]])
        yield Case("key twice", recipe, doubled, index + 2)


def _removed(recipe: str, text: str, parsed: Parsed, _: random.Random) -> Iterator[Case]:
    extends = "\nextends:" in text  # then the other recipe has what is taken away
    for key in () if extends else ("model", "train"):
        without = re.sub(rf"(?m)^{key}:.*\n((  .*)?\n)*", "", text, count=1)
        if without != text:
            yield Case("key missing", recipe, without)
    for found in re.finditer(r"use: [a-z-]+(, )?", text):
        yield Case("plugin missing", recipe, text[: found.start()] + text[found.end() :])


def _foreign(recipe: str, text: str, parsed: Parsed, chance: random.Random) -> Iterator[Case]:
    sections = ["\ntrain:\n", "\nmodel:\n", "\nmixture:\n"]
    places = [section for section in sections if section in text]
    words = sorted({term.name for term in terms_of("".join(TOOLS)).all if not term.is_ours})
    for word in chance.sample(words, 30 if places else 0):
        place = chance.choice(places)
        if word in ("type", "name") or word.endswith("*"):
            continue
        broken = text.replace(place, f"{place}  {word}: 1\n", 1)
        line = broken[: broken.index(f"  {word}: 1")].count("\n") + 1
        yield Case("another tool's word", recipe, broken, line)


def _misplaced(recipe: str, text: str, parsed: Parsed, chance: random.Random) -> Iterator[Case]:
    words = ["learning_rate", "r", "below", "sequence_len", "count", "quant_type", "order", "seed"]
    for word in words if "\nmodel:\n" in text else []:
        broken = text.replace("\nmodel:\n", f"\nmodel:\n  {word}: 1\n", 1)
        line = broken[: broken.index(f"  {word}: 1")].count("\n") + 1
        yield Case("word in the wrong place", recipe, broken, line)


def _syntax(recipe: str, text: str, parsed: Parsed, chance: random.Random) -> Iterator[Case]:
    closing = [match.start() for match in re.finditer(r"[\]}](?=\n)", text)]
    for at in chance.sample(closing, min(6, len(closing))):
        yield Case("not YAML", recipe, text[:at] + text[at + 1 :])
    indented = [match.start() for match in re.finditer(r"(?m)^  (?=[a-z])", text)]
    for at in chance.sample(indented, min(6, len(indented))):
        yield Case("not YAML", recipe, text[:at] + "\t" + text[at + 2 :])
    values = [match.end() for match in re.finditer(r"(?m)^ *[a-z_]+: (?=[a-z0-9])", text)]
    for at in chance.sample(values, min(6, len(values))):
        yield Case("not YAML", recipe, text[:at] + '"' + text[at:])
        yield Case("not YAML", recipe, text[:at] + "&a " + text[at:])
        yield Case("not YAML", recipe, text[:at] + "!!python/name:os.system " + text[at:])
        yield Case("not YAML", recipe, text[:at] + "@" + text[at:])


# ---- figures --------------------------------------------------------------------------------


def measure(corpus: Iterable[Case]) -> dict[str, Tally]:
    """Return the answers to a corpus by kind."""
    tallies: dict[str, Tally] = {}
    for case in corpus:
        tallies.setdefault(case.kind, Tally()).answers.append(answer(case))
    return tallies


def typos_of(tallies: dict[str, Tally]) -> Tally:
    """Return the answers to all misspelt words."""
    return Tally([a for k, t in tallies.items() if k.startswith("misspelt") for a in t.answers])
