"""Ask "where is X" of paths and first docstring lines: `python benchmarks/where_is.py [REVISION]`.

A newcomer looks for a thing with a word of the field. Each question has its words and the files
that answer it; files are ranked by the words in their path and first line, rare words counting
more. Ties count against the answer. With a git revision, the files are those of that revision. The
exit status is 1 unless every answer is first or second.
"""

from __future__ import annotations

import ast
import math
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("schema", "plugins", "compiler", "runtime", "project", "cli")
QUESTIONS = {
    "flash attention kernel": r"qlora/(attention|attention/packed_attention)\.py",
    "resume from checkpoint": r"qlora/(checkpoint|trainer|training)\.py",
    "packing algorithm": r"runtime/packing\.py",
    "progress bar": r"cli/(display|progress)\.py",
    "learning-rate schedule": r"qlora/optimizer\.py",
    "--set overrides": r"compiler/(settings|language/overrides)\.py",
    "write the lock": r"(runtime/pin|runtime/sources/pin|cli/lock|project/lock\w*)\.py",
    "recipe hash": r"(schema/plan|compiler/lower|cli/hash)\.py",
    "NF4 dequantize": r"plugins/(linears|toolkit/frozen_linear)\.py",
    "loss mask": r"(plugins/(tokens|toolkit/tokenization)|template/turns|qlora/loss)\.py",
    "did you mean suggestion": r"schema/did_you_mean\.py",
    "gradient all-reduce sync": r"qlora/(gradients|distributed/grad_sync)\.py",
    "whole audit": r"(runtime/audit/(ladder|audit)|cli/audit)\.py",
    "download retry resume": r"toolkit/http_download\.py",
    "truncate long texts": r"filter/truncate\.py",
    "gradient clipping": r"qlora/optimizer\.py",
}
TERMS = (
    "resume",
    "retry",
    "mask",
    "dequantize",
    "truncate",
    "clip",
    "recipe hash",
    "progress",
    "lock",
)


def first_lines(revision: str | None) -> dict[str, str]:
    """Return, by path, the first docstring line of each module."""
    if revision is None:
        files = {
            path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
            for folder in FOLDERS
            for path in sorted((ROOT / folder).rglob("*.py"))
        }
    else:
        listed = _git("ls-tree", "-r", "--name-only", revision).splitlines()
        names = [n for n in listed if n.endswith(".py") and n.split("/")[0] in FOLDERS]
        files = {name: _git("show", f"{revision}:{name}") for name in names}
    docs = {name: ast.get_docstring(ast.parse(text)) or "" for name, text in files.items()}
    return {name: doc.split("\n")[0] for name, doc in docs.items()}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


def words(text: str) -> set[str]:
    """Return the words of a text, lower-cased; parts of paths and hyphenated words are words."""
    return set(re.findall(r"[a-z0-9]+", text.lower()))


def matches(word: str, found: set[str]) -> bool:
    """Return whether a word, or another form of it, is among those found."""
    stem = word[:6]
    return any(other == word or (len(stem) > 3 and other.startswith(stem)) for other in found)


def rank(question: str, answer: str, lines: dict[str, str]) -> int | None:
    """Return how many files one reads before the answer is among them, or None if none is."""
    texts = {name: words(name.replace("_", " ")) | words(line) for name, line in lines.items()}
    scores = dict.fromkeys(texts, 0.0)
    for word in words(question):
        having = [name for name, found in texts.items() if matches(word, found)]
        for name in having:
            scores[name] += math.log(len(texts) / len(having))
    right = [score for name, score in scores.items() if re.search(answer, name)]
    best = max(right, default=0.0)
    others = [s for name, s in scores.items() if not re.search(answer, name)]
    return 1 + sum(score >= best for score in others) if best else None


def main() -> int:
    """Print the rank of each answer, and how many first lines have each term."""
    revision = sys.argv[1] if len(sys.argv) > 1 else None
    lines = first_lines(revision)
    ranks = {question: rank(question, answer, lines) for question, answer in QUESTIONS.items()}
    for question, place in ranks.items():
        print(f"{place or 'not found':>9}  {question}")
    for term in TERMS:
        count = sum(term in f"{name} {line}".lower() for name, line in lines.items())
        print(f"{count:>9}  files with `{term}` in path or first line")
    return 0 if all(place and place <= 2 for place in ranks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
