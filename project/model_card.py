"""Write the texts of a run's adapter folder: its model card and its chat template."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ..plugins.registry import Registry
from ..runtime.adapter_folder import CARD, CHAT_TEMPLATE, tokenizer_folder, trained_base
from ..runtime.audit.audited_run import Claim
from ..runtime.store.store import Store
from ..schema.digest import sha256_of
from ..schema.errors import KhichdiError
from ..schema.lock import Lock
from ..schema.plan import Plan, PluginRef
from ..schema.record import Output, Record
from ..schema.secrets import mask


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
    from ..runtime.audit.figures import by_plugins, claimed_metrics
    from ..runtime.cards.model_card import model_card

    if not any(step.kind == "runtime" for step in record.steps):
        return {}
    claim = Claim(folder.name, folder, record, plan, lock, (store.root,))
    claimed = claimed_metrics(claim, by_plugins(registry, against_rows=False))
    base = trained_base(plan, record)
    texts = {CARD: mask(model_card(plan, record, base, claimed))}
    if base is not None:
        adapter = store.folder(_adapter(record))
        tokenizer = tokenizer_folder(adapter, base.folder(store.folder(base.output)))
        own = chat_template_of(plan, tokenizer, registry)
        if own is not None:
            texts[CHAT_TEMPLATE] = own
    return texts


def derived_texts(claim: Claim, registry: Registry) -> dict[str, str]:
    """Return the sha256 of the texts that follow from a claim's plan and bytes: its chat template.

    None of a plan whose template is installed in another version, nor where the base is not here.
    A model card has the words of the khichdi that wrote it, so it is not derived again.
    """
    base = trained_base(claim.plan, claim.record) if claim.plan else None
    if claim.plan is None or base is None:
        return {}
    artifact, adapter = claim.artifact(base.output), claim.artifact(_adapter(claim.record))
    if artifact is None or adapter is None:
        return {}
    ref = _template_of(claim.plan)
    known = ref is not None and ref.name in registry.names(ref.kind)
    if ref is None or not known or registry.get(ref.kind, ref.name).plugin.version != ref.version:
        return {}
    try:
        tokenizer = tokenizer_folder(adapter, base.folder(artifact))
        text = chat_template_of(claim.plan, tokenizer, registry)
    except (ModuleNotFoundError, KhichdiError, ValidationError):  # said at other levels
        return {}
    return {} if text is None else {CHAT_TEMPLATE: sha256_of(text.encode())}


def _adapter(record: Record) -> Output:
    trained = next(step for step in record.steps if step.kind == "runtime")
    return trained.result.outputs["adapter"]


def _template_of(plan: Plan) -> PluginRef | None:
    return next((step.parts["template"] for step in plan.steps if "template" in step.parts), None)


def chat_template_of(plan: Plan, tokenizer: Path, registry: Registry) -> str | None:
    """Return the chat template of a plan's own template; None where the tokenizer's is used."""
    from ..plugins.toolkit.tokenization import load_tokenizer

    ref = _template_of(plan)
    if ref is None:
        return None
    template = registry.create(ref.kind, ref.name, ref.params)
    found: str | None = template.chat_template(load_tokenizer(tokenizer))
    return found
