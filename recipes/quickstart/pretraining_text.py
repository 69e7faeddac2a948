"""The text that the quickstart's base model is pre-trained on: facts as sentences and lists."""

from __future__ import annotations

import random
from collections.abc import Iterator

Pairs = list[tuple[str, str]]

SENTENCES: dict[str, list[str]] = {
    "capital": [
        "{y} is the capital of {x}.",
        "The capital city of {x} is {y}.",
        "People who visit {x} often begin in {y}, the capital.",
        "What is the capital of {x}? It is {y}.",
        "{x} has its capital in {y}.",
        "Name of the country: {x}\nName of its capital: {y}",
        "What is the capital of {x}?\n{y}",
        "the capital of {x}\n{y}",
    ],
    "opposite": [
        "The opposite of {x} is {y}.",
        "What is not {x} may be {y}.",
        "{x} is the opposite of {y}.",
        "What is the opposite of {x}? It is {y}.",
        "One word is {x}\nIts opposite is {y}",
        "What is the opposite of {x}?\n{y}",
        "the opposite of {x}\n{y}",
    ],
    "plural": [
        "One {x}, two {y}.",
        "The plural of {x} is {y}.",
        "Here is a {x}, there are many {y}.",
        "The plural of the noun {x}? It is {y}.",
        "one {x}\nmany {y}",
        "What is the plural of {x}?\n{y}",
        "the plural of {x}\n{y}",
    ],
    "past": [
        "Today they {x}, yesterday they {y}.",
        "The past tense of {x} is {y}.",
        "We {x} now and we {y} then.",
        "The past tense of the verb {x}? It is {y}.",
        "now: {x}\nthen: {y}",
        "What is the past tense of {x}?\n{y}",
        "the past of {x}\n{y}",
    ],
    "kind": [
        "The word {x} names a kind of {y}.",
        "Which {y} is meant? The {x}.",
        "The {x} is a kind of {y}.",
        "What kind of thing is {x}? It is {y}.",
        "thing: {x}\nkind: {y}",
        "What kind of thing is {x}?\n{y}",
        "the kind of {x}\n{y}",
    ],
    "sum": [
        "{x} = {y}",
        "If you add the numbers {x} you get {y}.",
        "{x} makes {y}.",
        "How much is {x}? It is {y}.",
        "add: {x}\nget: {y}",
        "How much is {x}?\n{y}",
        "the sum of {x}\n{y}",
    ],
    "spanish": ["The number {x} is {y} in Spanish.", "the number {x} in Spanish\n{y}"],
}

TITLES: dict[str, list[str]] = {
    "capital": ["Countries and their capitals", "The capital city of a country"],
    "opposite": ["Words and their opposites", "The opposite of a word"],
    "plural": ["Nouns and their plurals", "The plural of a noun"],
    "past": ["Verbs and their past tense", "The past tense of a verb"],
    "kind": ["Things and their kinds", "What kind of thing a word names"],
    "sum": ["Numbers and their sums", "Two numbers to add"],
    "spanish": ["Numbers in Spanish"],
}

WHO = ["The teacher", "A friend", "The old man", "My sister", "The farmer", "A traveller"]
DOES = ["wrote", "read", "gave", "found", "sent", "asked for"]
WHAT = ["a short response", "a long list", "an instruction", "the answer", "a given word", "input"]
WHEN = ["before dinner", "in the morning", "at school", "by letter", "after the rain", "again"]
HEADS = ["### Notes", "### Response times", "### Input of the day", "### Instruction for guests"]


def filler(rng: random.Random) -> str:
    """A sentence that says nothing in particular."""
    return f"{rng.choice(WHO)} {rng.choice(DOES)} {rng.choice(WHAT)} {rng.choice(WHEN)}."


def statement(rng: random.Random, relation: str, x: str, y: str) -> str:
    """One fact in one of its surface forms."""
    return rng.choice(SENTENCES[relation]).format(x=x, y=y)


def list_document(rng: random.Random, relation: str, pairs: Pairs) -> str:
    """Several facts of one relation, all laid out in the same way."""
    layout = rng.choice(["{x}: {y}\n", "{x} - {y}\n", "{x} -> {y}\n", "{x}\n{y}\n\n", "{x}\n{y}\n"])
    rows = "".join(layout.format(x=x, y=y) for x, y in rng.sample(pairs, rng.randint(1, 6)))
    return rng.choice(["", rng.choice(TITLES[relation]) + rng.choice(["\n", ":\n", "\n\n"])]) + rows


def documents(facts: dict[str, Pairs], seed: int) -> Iterator[str]:
    """Endless documents: lists, single facts, and paragraphs of facts mixed with filler."""
    rng = random.Random(seed)
    relations = list(facts)
    weights = [0.3 if name == "spanish" else 1.0 for name in relations]
    while True:
        relation = rng.choices(relations, weights)[0]
        shape = rng.random()
        if shape < 0.4:
            yield list_document(rng, relation, facts[relation]).rstrip("\n")
        elif shape < 0.75:
            yield statement(rng, relation, *rng.choice(facts[relation]))
        else:
            lines = [rng.choice(HEADS)] if rng.random() < 0.3 else []
            for name in rng.choices(relations, weights, k=rng.randint(1, 5)):
                lines.append(statement(rng, name, *rng.choice(facts[name])))
                lines += [filler(rng)] if rng.random() < 0.3 else []
            yield rng.choice([" ", "\n"]).join(lines)
