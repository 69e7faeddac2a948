"""Words that pages have in common: machines, claims, and a glossary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...schema.record import Record

GLOSSARY = (
    ("recipe hash", "A digest of everything that was asked for: parameters, data, weights, "
     "tokenizer, plugin versions and seeds. It is known before anything runs."),
    ("result hash", "A digest of the output of every step, the adapter included."),
    ("claimed", "Said by the run and bound by no hash: no audit derives it."),
    ("pack", "Several samples in one sequence of tokens; they cannot attend to one another."),
    ("adapter", "The weights that were trained, beside the base model."),
    ("identical", "The audit found the same bits."),
    ("equivalent", "Other bits, within limits that honest reruns were measured to keep."),
    ("unverifiable", "It could not be checked here; this contradicts nothing."),
    ("diverged", "It is not as claimed."),
    ("read, hashed, sampled, derived, executed", "What a verdict rests on, weakest first: a digest "
     "in a document; bytes hashed again; some parts executed again; recomputed from pinned bytes; "
     "everything executed again."),
)  # fmt: skip


def machine(record: Record) -> str:
    """Return the machine and the main versions of a run in a line."""
    return machine_of(record.environment)


def machine_of(found: Mapping[str, Any]) -> str:
    """Return an environment in a line: processor, system, Python and torch."""
    packages = found.get("packages")
    torch = packages.get("torch") if isinstance(packages, dict) else None
    gpu = found.get("gpu") or found.get("gpus")
    words = [found.get("cpu"), gpu, found.get("system"), f"Python {found.get('python')}"]
    return ", ".join(str(word) for word in [*words, torch and f"torch {torch}"] if word)


def claimed_note(claims: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return a table of the fields that no hash binds, by kind of claim."""
    return [[what, ", ".join(fields)] for what, fields in claims.items() if fields]
