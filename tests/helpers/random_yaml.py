"""Writes recipes as people do: any order, indent, style and quotes, with comments everywhere."""

from __future__ import annotations

import json
from random import Random
from typing import Any

STEPS = [
    {"use": "files", "folder": "a/b", "include": ["*.json", "b c"]},
    {"use": "max-words", "fields": ["instruction", "input"], "below": 800},
    {"use": "where", "field": "output", "matches": "print\\(", "negate": True},
    {"use": "no-such-plugin", "zeta": 1, "alpha": {"b": [], "a": {}}},
    {"use": "random", "count": 5},
    {"use": "parquet", "columns": {"input": "article: x", "output": "a # b"}},
]
SCALARS: list[Any] = [
    1, 2.0e-5, True, None, "no", "3.10", "a b", "yes", "null", "", " x ", "a\nb\n", "a\n\n b",
    "it's", 'say "x"', "\\d+", "2020-01-01", "x: y", "- a", "é", "\x07", "#no", "a,b", "[x]",
    "long " * 30 + "end", "x\n\n", "\n", "tab\there", "https://a.b/c?d=e", "{a}", "0x10", ".inf",
]  # fmt: skip


def any_recipe(random: Random) -> dict[str, Any]:
    """Return the values of a recipe, right in shape or not, keys in any order."""
    sets = {name: _data_set(random) for name in random.sample(["a", "b-1", "c.d", "9"], 2)}
    recipe: dict[str, Any] = {
        "recipe": 1,
        "name": "r",
        "description": random.choice(SCALARS),
        "extends": "parent.yaml",
        "seed": 7,
        "model": {"adapter": random.choice(STEPS), "base": random.choice(STEPS)},
        "data": sets,
        "mixture": {"validation": {"count": 3}, "filters": random.sample(STEPS, 2)},
        "train": {"learning_rate": 1e-4, "use": "qlora", "template": {"use": "alpaca"}},
        "rules": [],
        "unknown": random.choice([SCALARS[3:7], {"z": [[1], [{"b": 1, "a": 2}]]}, "x"]),
    }
    return _shuffled(random, recipe, drop=0.3)


def _data_set(random: Random) -> dict[str, Any]:
    steps = random.sample(STEPS, 2)
    found = {"filters": steps, "source": random.choice(STEPS), "license": random.choice(SCALARS)}
    return _shuffled(random, found, drop=0.2)


def _shuffled(random: Random, mapping: dict[str, Any], drop: float) -> dict[str, Any]:
    keys = [key for key in mapping if key == "recipe" or random.random() > drop]
    random.shuffle(keys)
    return {key: mapping[key] for key in keys}


class RandomYaml:
    """Writes values as YAML in a manner drawn at random; every comment is another one."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.comments = 0
        self.often = random.choice([0.0, 0.1, 0.4])

    def write(self, values: Any) -> str:
        """Return a file."""
        lines = [*self._noise(), *self._mapping(values, 0), *self._noise()]
        return self.random.choice(["\n", "\r\n"]).join([*lines, ""])

    def _chance(self) -> bool:
        return self.random.random() < self.often

    def _comment(self) -> str:
        self.comments += 1
        return f"# comment {self.comments} of: this, {{one}}"

    def _noise(self, column: int = 0) -> list[str]:
        lines = []
        while self._chance():
            indent = " " * self.random.choice([column, column, 0, column + 2, 7])
            lines.append(self.random.choice(["", "", "   ", indent + self._comment()]))
        return lines

    def _eol(self) -> str:
        return " " + self._comment() if self._chance() else ""

    def _mapping(self, values: dict[str, Any], indent: int) -> list[str]:
        lines = []
        for key, value in values.items():
            lines += self._noise(indent)
            lines += self._entry(f"{self._key(key)}:", value, indent)
        return lines

    def _key(self, key: str) -> str:
        return self.random.choice([key, key, json.dumps(key), f"'{key}'"])

    def _list(self, values: list[Any], indent: int) -> list[str]:
        lines = []
        for value in values:
            lines += self._noise(indent)
            if isinstance(value, dict) and value and self.random.random() < 0.3:
                first, *rest = self._mapping(value, indent + 2)
                if first.strip() and not first.strip().startswith("#"):
                    lines += [" " * indent + "- " + first.strip(), *rest]
                    continue
            lines += self._entry("-", value, indent)
        return lines

    def _entry(self, lead: str, value: Any, indent: int) -> list[str]:
        pad, step = " " * indent, self.random.choice([1, 2, 4])
        if isinstance(value, dict | list) and value:
            if self.random.random() < 0.4:
                return self._with(pad + lead, self._flow(value, indent + step))
            if isinstance(value, dict):
                below = self._mapping(value, indent + step)
            else:
                deeper = 0 if lead != "-" and self.random.random() < 0.3 else step
                below = self._list(value, indent + deeper)
            return [pad + lead + self._eol(), *below]
        if isinstance(value, str) and "\n" in value and value.strip():
            return self._literal(pad + lead, value, indent + step)
        return self._with(pad + lead, self._scalar(value, False, indent))

    def _with(self, lead: str, text: str) -> list[str]:
        first, *rest = text.split("\n")
        lines = [f"{lead} {first}".rstrip(), *rest]
        lines[-1] += self._eol()
        return lines

    def _literal(self, lead: str, value: str, indent: int) -> list[str]:
        text = value.rstrip("\n")
        ends = len(value) - len(text)
        chomp = "-" if not ends else "" if ends == 1 else "+"
        body = [" " * indent + line if line else "" for line in text.split("\n")]
        return [f"{lead} |{chomp}{self._eol()}", *body, *[""] * max(0, ends - 1)]

    def _flow(self, value: Any, indent: int) -> str:
        if not isinstance(value, dict | list):
            return self._scalar(value, True)
        if isinstance(value, dict):
            items = [f"{self._key(k)}: {self._flow(v, indent)}" for k, v in value.items()]
        else:
            items = [self._flow(v, indent) for v in value]
        text = "{" if isinstance(value, dict) else "["
        for index, item in enumerate(items):
            text += ("," if index else "") + self._space(indent) + item
        text += self.random.choice(["", ","]) if items else ""
        return text + self._space(indent) + ("}" if isinstance(value, dict) else "]")

    def _space(self, indent: int) -> str:
        if not self._chance():
            return " "
        lines = [self._eol(), *(" " * indent + line.strip() for line in self._noise())]
        return "\n".join([*lines, " " * (indent + 1)])

    def _scalar(self, value: Any, flow: bool, indent: int = 0) -> str:
        if not isinstance(value, str):
            return self.random.choice(["null", "~"]) if value is None else json.dumps(value)
        options = [_double(value)]
        if value.isprintable():
            options.append("'" + value.replace("'", "''") + "'")
        simple = value.replace(" ", "").isalpha() and value == value.strip()
        if simple and value not in ("null", "yes", "no"):
            options += [value, value]
            if not flow and " " in value:
                options.append(value.replace(" ", "\n" + " " * (indent + 9), 1))
        return self.random.choice(options)


def _double(value: str) -> str:
    return json.dumps(value).replace("\\u0007", "\\a")
