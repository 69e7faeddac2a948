"""Which fields of a run's documents no hash binds: a run claims them, and no audit derives them.

Every other field of a record, plan or lock follows from artifacts, keys and the recipe's text, so a
forged one contradicts something. These may say anything. Whatever shows one of them marks it as
claimed. Figures in a step's facts are decided one by one, by `khichdi.runtime.audit.figures`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class ClaimedField(NamedTuple):
    """A field, with all below it, that a document only claims.

    Attributes:
        document: `record`, `plan` or `lock`.
        path: its place; `*` stands for any name or number.
        what: the kind of claim, as it is shown to people.
        why: the reason why nothing binds it.
    """

    document: str
    path: tuple[str, ...]
    what: str
    why: str


TIMES = "times and memory"
MACHINE = "machine"
SOFTWARE = "installed software"
SETTINGS = "settings that change no result"
ORIGINS = "origins of sources"
NAMES = "the recipe's name"
FIRST_RUN = "the run that is evaluated again"
CARDS = "the model card"


def _fields(document: str, paths: str, what: str, why: str) -> Iterator[ClaimedField]:
    for path in paths.split():
        yield ClaimedField(document, tuple(path.split(".")), what, why)


CLAIMED: tuple[ClaimedField, ...] = (
    *_fields(
        "record",
        "started seconds estimate steps.*.seconds steps.*.status steps.*.result.measured",
        TIMES,
        "when and how fast it ran, and what was cached, leave no trace in the results",
    ),
    *_fields(
        "record",
        "environment steps.*.result.environment",
        MACHINE,
        "another machine can give the same results",
    ),
    *_fields(
        "record",
        "plugins installed",
        SOFTWARE,
        "keys bind the version number of each plugin, not the packages that it came from",
    ),
    *_fields(
        "record",
        "adapter_texts",
        CARDS,
        "its words are those of the khichdi that wrote it; its chat template follows from the plan",
    ),
    *_fields(
        "record",
        "evaluates",
        FIRST_RUN,
        "its evaluations may be others, so its hashes do not follow from this run's",
    ),
    *_fields("lock", "plugins language", SOFTWARE, "as it was when the lock was made"),
    *_fields(
        "record",
        "settings",
        SETTINGS,
        "whether a value was set or written leads to the same recipe hash",
    ),
    *_fields(
        "plan",
        "steps.*.plugin.params steps.*.plugin.operational steps.*.parts.*.params "
        "steps.*.parts.*.operational",
        SETTINGS,
        "no key covers operational parameters and where a source is from; keys cover all others",
    ),
    *_fields(
        "plan",
        "steps.*.origin steps.*.package_url steps.*.material.request "
        "steps.*.material.revision steps.*.material.files.*.url",
        ORIGINS,
        "a locked source is bound by the sha256 of its files, wherever they came from",
    ),
    *_fields(
        "lock",
        "materials.*.request materials.*.revision materials.*.files.*.url",
        ORIGINS,
        "a locked source is bound by the sha256 of its files, wherever they came from",
    ),
    *_fields("record", "recipe", NAMES, "a label, which the recipe hash is not over"),
    *_fields("plan", "recipe", NAMES, "a label, which the recipe hash is not over"),
    *_fields("lock", "recipe", NAMES, "a label, which the recipe hash is not over"),
)
"""The one list of fields that a run only claims."""


def claimed(document: str, place: Sequence[str | int]) -> ClaimedField | None:
    """Return the claimed field that a place is in; None where something binds it."""
    for one in CLAIMED:
        pairs = zip(one.path, map(str, place), strict=False)
        if (
            one.document == document
            and len(place) >= len(one.path)
            and all(wanted in ("*", part) for wanted, part in pairs)
        ):
            return one
    return None


def claims(documents: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the claimed fields that some documents hold, by kind of claim.

    `documents` has JSON values by `record`, `plan` and `lock`. A field is written as
    `record steps.*.seconds`.
    """
    found: dict[str, list[str]] = {}
    for one in CLAIMED:
        if _stands(documents.get(one.document), one.path):
            found.setdefault(one.what, []).append(f"{one.document} {'.'.join(one.path)}")
    return {what: tuple(fields) for what, fields in found.items()}


def _stands(value: Any, path: tuple[str, ...]) -> bool:
    """Return whether something stands at a path of a JSON value."""
    if not path:
        return value is not None and value not in ([], {})
    if path[0] == "*":
        below = value.values() if isinstance(value, dict) else value or ()
        return any(_stands(item, path[1:]) for item in below)
    return isinstance(value, dict) and _stands(value.get(path[0]), path[1:])
