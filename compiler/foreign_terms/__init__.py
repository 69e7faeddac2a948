"""Look up the equivalent of another tool's parameter in a recipe.

The two tables were made from the configuration models of axolotl (2023 to 2026), LLaMA-Factory,
TRL, transformers, peft, torchtune and Unsloth. Hints of `recipe validate` and the importers are
both derived from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Literal, NamedTuple

from .mapped import MAPPED
from .unmapped import UNMAPPED

TOOLS = {
    "A": "axolotl",
    "D": "axolotl",
    "L": "LLaMA-Factory",
    "R": "TRL",
    "H": "transformers",
    "P": "peft",
    "T": "torchtune",
    "U": "Unsloth",
}
"""Tools by letter. `D` is an entry of axolotl's `datasets`; LLaMA-Factory and TRL take `H` too."""


class Term(NamedTuple):
    """A parameter of some tools, and what became of it.

    Of one that is `mapped`, `text` is our path and maybe a value. Of one that is `inert`, `text` is
    why it cannot change a result here. Of one that is `lost`, `text` is its effect and `note` what
    to do.
    """

    name: str
    letters: str
    verdict: Literal["mapped", "inert", "lost"]
    text: str
    note: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether a recipe has a parameter of this very name."""
        return self.verdict == "mapped" and re.split(r"[.:]", self.text)[-1] == self.name

    def hint(self, place: str) -> str:
        """Return the tool that a parameter belongs to, and its equivalent in a recipe."""
        tools = list(dict.fromkeys(TOOLS[letter] for letter in self.letters))
        whose = " and ".join(f"{tool}'s" for tool in tools[:2])
        if self.verdict == "mapped":
            ours = self.text.removeprefix(f"{place}.") if place else self.text
            return f"{whose} name for `{ours}`" + (self.note and f", {self.note}")
        why = self.text if self.verdict == "inert" else f"it would {self.text}; {self.note}"
        return f"{whose} parameter, which a recipe does not have: {why}"


class Terms:
    """Terms by name; a name may end in `*`."""

    def __init__(self, terms: Iterable[Term]) -> None:
        self.all = tuple(terms)
        self._terms = {term.name: term for term in reversed(self.all)}

    def exact(self, name: str) -> Term | None:
        """Return the term of exactly this name."""
        return self._terms.get(name)

    def get(self, name: str) -> Term | None:
        """Return the term of this name, else the one with the longest prefix of it."""
        prefixes = (k for k in self._terms if k[-1] == "*" and name.startswith(k[:-1]))
        return self.exact(name) or self.exact(max(prefixes, key=len, default=""))

    def names(self) -> list[str]:
        """Return every name that is known in full."""
        return sorted(name for name in self._terms if name[-1] != "*")


@cache
def terms_of(letters: str) -> Terms:
    """Return the terms of a tool; those of its first letter precede those of the next."""
    return Terms(term for letter in letters for term in _read() if letter in term.letters)


@cache
def _read() -> tuple[Term, ...]:
    return (*_mapped(MAPPED), *_unmapped(UNMAPPED))


def _mapped(table: str) -> Iterator[Term]:
    for line in table.strip().replace("\n    ", " ").split("\n"):
        ours, _, names = line.rpartition(" = ")
        text, _, note = ours.partition(" | ")
        for item in names.split():
            name, _, letters = item.partition(":")
            yield Term(name, letters, "mapped", text, note)


def _unmapped(table: str) -> Iterator[Term]:
    for paragraph in table.strip().replace("\n    ", " ").split("\n\n"):
        (head, *lines) = paragraph.split("\n")
        text, _, note = head[2:].partition(" | ")
        for line in lines:
            letters, *names = line.split()
            for name in names:
                yield Term(name, letters, "inert" if head[0] == "-" else "lost", text, note)
