"""Seals: no bit of a lock, a plan or a record can change unseen."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from khichdi.schema.errors import InputError
from khichdi.schema.lock import Distribution, Lock, Material, PinnedFile
from khichdi.schema.plan import Plan, PlanStep, PluginRef
from khichdi.schema.record import Record, RecordedStep, StepResult
from khichdi.schema.seal import Sealed

SHA = "sha256:" + "0a" * 32
LOCK = Lock(
    recipe="pico é",
    language=1,
    materials={
        "base": Material(
            use="files",
            request=SHA,
            revision="main",
            files=(PinnedFile(path="a.json", size=10, sha256=SHA, url="https://e.org/a"),),
        )
    },
    plugins=(Distribution(name="khichdi", version="0.1.0"),),
)
STEP = RecordedStep(
    name="train",
    kind="runtime",
    plugin="qlora",
    version=1,
    seed=5,
    status="ran",
    seconds=1.5,
    result=StepResult(key=SHA, outputs={}, facts={"rate": 1e-05, "low": -0.5, "flags": [True]}),
)
RECORD = Record(
    recipe="pico",
    recipe_hash=SHA,
    result_hash=SHA,
    seed=5,
    started="2026-11-21T07:42:00+00:00",
    seconds=12.25,
    steps=(STEP,),
    metrics={"loss": 4.087148831685384, "tiny": 1e-22},
    plugins=LOCK.plugins,
    environment={"python": "3.11.7", "cores": 2},
)
PLAN = Plan(
    language=1,
    recipe="pico",
    seed=5,
    locked=False,
    recipe_hash=SHA,
    steps=(
        PlanStep(
            name="base",
            kind="source",
            plugin=PluginRef(kind="source", name="files", version=1, params={"a": 1.0}),
            key=SHA,
        ),
    ),
)
DOCUMENTS = [LOCK, PLAN, RECORD, STEP.result]
NAMES = [type(document).__name__ for document in DOCUMENTS]


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_a_document_is_read_as_it_was_written(document: Sealed) -> None:
    text = document.to_text()
    assert type(document).from_json(text, "x") == document
    assert type(document).from_json(text.replace("\n", "\r\n"), "x") == document
    assert json.loads(text)["seal"] == document.seal()


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_one_whose_seal_was_taken_off_is_refused(document: Sealed) -> None:
    value = document.to_json()
    for kept in (value, {**value, "seal": None}):
        text = json.dumps(kept, indent=document.indent, sort_keys=document.sort_keys)
        with pytest.raises(InputError, match="is not sealed"):
            type(document).from_json(text + "\n", "x")


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_flipped_bit_is_seen(document: Sealed) -> None:
    honest = document.to_text().encode()
    missed = []
    for place in range(len(honest)):
        for bit in range(8):
            raw = bytearray(honest)
            raw[place] ^= 1 << bit
            try:
                type(document).from_json(bytes(raw), "x")
            except InputError:
                continue
            missed.append((place, bit, bytes(raw[max(0, place - 20) : place + 20])))
    assert not missed


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_cut_is_seen(document: Sealed) -> None:
    honest = document.to_text().encode()
    for length in range(len(honest)):
        with pytest.raises(InputError):
            type(document).from_json(honest[:length], "x")


def test_what_means_the_same_in_other_letters_is_seen() -> None:
    text = RECORD.to_text()
    assert '"rate": 1e-05' in text
    for other in ('"rate": 1E-05', '"rate": 0.00001', '"rate":1e-05'):
        with pytest.raises(InputError, match="laid out in another way"):
            Record.from_json(text.replace('"rate": 1e-05', other), "x")


def test_a_seal_of_one_kind_of_document_is_none_of_another() -> None:
    class Lookalike(Sealed):
        a: int = 1

    class Other(Sealed):
        a: int = 1

    assert Lookalike().seal() != Other().seal()


def test_a_seal_is_made_as_the_page_on_hashes_says() -> None:
    value = json.loads(LOCK.to_text())
    told = value.pop("seal")
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    preimage = b"khichdi/seal-lock/1\0" + json.dumps(text, ensure_ascii=False).encode()
    assert told == "sha256:" + hashlib.sha256(preimage).hexdigest()


def test_the_error_says_what_to_do() -> None:
    text = LOCK.to_text().replace('"size": 10', '"size": 11')
    with pytest.raises(InputError, match="this lock is not as it was written") as caught:
        Lock.from_json(text, "pico.lock")
    assert caught.value.file == "pico.lock"
    assert caught.value.hint


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"seal": 1}', '{"seal": NaN}', "[" * 100_000, '{"seal": "\\ud800"}']
)
def test_what_is_no_document_is_refused_in_a_sentence(text: str) -> None:
    for model in (Lock, Record, Plan):
        with pytest.raises(InputError):
            model.from_json(text, "x")


def test_the_locks_that_ship_are_read() -> None:
    recipes = Path(__file__).parents[2] / "recipes"
    for path in recipes.glob("*.lock"):
        assert Lock.from_json(path.read_bytes(), path.name).materials
