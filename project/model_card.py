"""Write the texts of a run's adapter folder: its model card and its chat template."""

from __future__ import annotations

import logging
from pathlib import Path

from ..plugins.registry import Registry
from ..runtime.adapter_folder import CARD, CHAT_TEMPLATE, trained_base
from ..runtime.store.store import Store
from ..schema.lock import Lock
from ..schema.plan import Plan
from ..schema.record import Record
from ..schema.secrets import mask

log = logging.getLogger("khichdi")


def adapter_texts(
    folder: Path, record: Record, plan: Plan, lock: Lock, store: Store, registry: Registry
) -> dict[str, str]:
    """Return the texts by file name; none where the run trained nothing.

    Args:
        folder: the run's folder.
        record: the run's record.
        plan: the plan that ran.
        lock: its lock.
        store: the store that has the run's artifacts.
        registry: where the template comes from.
    """
    from ..runtime.audit.audited_run import Claim
    from ..runtime.audit.figures import by_plugins, claimed_metrics
    from ..runtime.cards.model_card import model_card

    if not any(step.kind == "runtime" for step in record.steps):
        return {}
    claim = Claim(folder.name, folder, record, plan, lock, (store.root,))
    claimed = claimed_metrics(claim, by_plugins(registry, against_rows=False))
    base = trained_base(plan, record)
    texts = {CARD: mask(model_card(plan, record, base, claimed))}
    if base is not None:
        try:
            own = chat_template_of(plan, base.folder(store.folder(base.output)), registry)
        except Exception:  # of any plugin or library; a finished training is not lost for a text
            log.warning("the adapter's folder has no chat template", exc_info=True)
            own = None
        if own is not None:
            texts[CHAT_TEMPLATE] = own
    return texts


def chat_template_of(plan: Plan, base: Path, registry: Registry) -> str | None:
    """Return the chat template of a plan's own template; None where the tokenizer's is used."""
    from ..plugins.toolkit.tokenization import load_tokenizer

    ref = next((step.parts["template"] for step in plan.steps if "template" in step.parts), None)
    if ref is None:
        return None
    template = registry.create(ref.kind, ref.name, ref.params)
    found: str | None = template.chat_template(load_tokenizer(base))
    return found
