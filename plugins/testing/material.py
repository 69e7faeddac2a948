"""Test material: rows of many sorts, packs of tokens, and a base model of two layers."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from ...schema.rows import row_schema
from ..toolkit.tiny_model import tiny_tokenizer, write_tiny_mistral

if TYPE_CHECKING:
    import pyarrow as pa

_TEXTS = (
    ("Name the capital.", "France", "Paris"),
    ("Name the capital.", "France", "Paris"),
    ("Translate into Spanish.", "The cat sleeps on the old chair.", "El gato duerme en la silla."),
    ("Répondez en une phrase.", "Où est la gare ?", "La gare est près du pont."),
    ("Say it again.", "  two  spaces\tand a tab ", " spaces "),
    ("Strip it.", "<p>bold &amp; <b>brave</b></p>", "bold & brave"),
    ("Mend it.", "naÃ¯ve cafÃ©", "naïve café"),
    ("Count the words. ### 1", "one two three " * 40, "120"),
    ("Answer.", "", "As an AI language model, I cannot do that."),
    ("Answer.", "Is 7 prime? 答えて。", ""),
    ("Greet 🙂.", "e\u0301cole", "école"),
    ("Name the capital!", "Italy.", "Rome"),
)
_LABELS: tuple[tuple[str, list[str], list[str], list[str]], ...] = (
    ("capitals", ["Question Answering"], ["English"], ["English"]),
    ("translation", ["Translation"], ["English"], ["Spanish"]),
    ("", [], [], []),
)
_CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_LINES = (
    "What is the capital of France? Paris.",
    "Give the plural of mouse. mice",
    "Two and two is four, three and three is six.",
    "### Instruction:\nSay yes or no.\n\n### Response:\nyes",
)


def make_rows(count: int = 48) -> pa.Table:
    """Return rows with every column: repeated, empty, long, marked up, in several scripts."""
    import pyarrow as pa

    rows = []
    for number in range(count):
        instruction, text, output = _TEXTS[number % len(_TEXTS)]
        task, categories, input_languages, output_languages = _LABELS[number % len(_LABELS)]
        more = f" ({number // 24})" if number >= 24 and text else ""
        turns = [("user", f"{instruction} {text}{more}".strip()), ("assistant", output)]
        rows.append(
            {
                "id": f"kit/rows.jsonl#{number}",
                "source": "kit",
                "task": task,
                "license": "cc-by-4.0",
                "provenance": "made up",
                "categories": categories,
                "domains": ["Geography"] if number % 3 == 0 else [],
                "input_languages": input_languages,
                "output_languages": output_languages,
                "instruction": instruction,
                "input": text + more,
                "output": output,
                "references": [output, output.lower()] if output else [],
                "turns": [{"role": r, "text": t, "extra": ""} for r, t in turns]
                if number % 4 == 0
                else [],
                "tools": "",
            }
        )
    return pa.Table.from_pylist(rows, schema=row_schema())


def make_packs(count: int, capacity: int = 64, seed: int = 0) -> pa.Table:
    """Return packs of patterned samples: the last third of each repeats its start."""
    import pyarrow as pa

    draw = random.Random(seed)
    packs: dict[str, list[list[int]]] = {"input_ids": [], "labels": [], "lengths": []}
    for _ in range(count):
        ids: list[int] = []
        labels: list[int] = []
        lengths: list[int] = []
        while len(ids) < capacity:
            length = min(draw.randint(9, 24), capacity - len(ids))
            prompt = [draw.randrange(3, 60) for _ in range(length - length // 3)]
            answer = prompt[: length // 3]
            ids += prompt + answer
            labels += [-100] * len(prompt) + answer
            lengths.append(length)
        for name, values in (("input_ids", ids), ("labels", labels), ("lengths", lengths)):
            packs[name].append(values)
    kind = pa.list_(pa.int32())
    return pa.table({name: pa.array(values, kind) for name, values in packs.items()})


@cache
def make_base() -> Path:
    """Return a folder with a random Mistral of two thin layers, and its tokenizer.

    It is made once for a process, in the system's folder for temporary files.
    """
    tokenizer = tiny_tokenizer(_LINES, chat_template=_CHAT, add_bos=False)
    return write_tiny_mistral(Path(mkdtemp(prefix="khichdi-kit-base-")), tokenizer)
