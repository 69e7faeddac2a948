"""Describe a run: a data set card, an ML-BOM in CycloneDX, or Croissant."""

from __future__ import annotations

from pathlib import Path

from ..schema.errors import InputError
from ..schema.secrets import mask
from .run_lookup import Run, open_run

FORMATS = ("markdown", "cyclonedx", "croissant")


def describe_run(run: str | Path, form: str, *, store: str | Path | None = None) -> str:
    """Return the description of a run in one of `FORMATS`.

    Secrets are masked in the card for people, and refused in what machines read.

    Raises:
        InputError: there is no such run, it trained nothing, or there is a secret in it.
    """
    from ..runtime.bundle.privacy_check import refuse

    text = _text(open_run(run, store=store), form)
    if form == "markdown":
        return mask(text)
    refuse(form, text.encode())
    return text


def _text(past: Run, form: str) -> str:
    plan, record = past.plan(), past.record
    if form == "cyclonedx":
        from ..runtime.cards.cyclonedx import bom

        if not any(step.kind == "runtime" for step in record.steps):
            raise InputError("the run trained no model that a bill of materials could be of")
        return bom(plan, record, past.claims(), past.claimed_metrics())
    if not past.has("split"):
        last = record.steps[-1].name
        raise InputError(f"the run ended with {last}, before there was a data set to describe")
    if form == "croissant":
        from ..runtime.cards.croissant import croissant

        return croissant(plan, record)
    from ..runtime.cards.data_card import card

    return card(plan, record, past.store)
