"""axolotl's special and added tokens -> `model.tokens`."""

from __future__ import annotations

from .chat_formats import ends_turn, has_token
from .mapping import Translation

ROLES = ("bos_token", "eos_token", "unk_token")
EVERYWHERE = frozenset({"<s>", "</s>", "<unk>"})
"""Special tokens that are not added where a tokenizer lacks them: they are SentencePiece's own."""
TABLES = frozenset({"embed_tokens", "lm_head"})
MORE = "additional_special_tokens"


def tokens(t: Translation) -> None:
    """Translate tokens, but for those that the base's tokenizer is known to have already."""
    base = t.text("base_model") or ""
    ends = t.texts("eot_tokens") or []
    if ends and all(ends_turn(base, token) for token in ends):
        t.inert("eot_tokens", "the base's chat template ends turns by it")
    _roles(t, base)
    listed = t.texts(("special_tokens", MORE)) or []
    if listed:
        _add(t, ("special_tokens", MORE), "add_special", listed)
    if plain := t.texts("tokens"):
        _add(t, "tokens", "add", plain)


def _roles(t: Translation, base: str) -> None:
    given = t.value("special_tokens")
    for name, token in given.items() if isinstance(given, dict) else ():
        key = ("special_tokens", name)
        if token is None or token == []:
            t.inert(key, "left empty")
        elif name == "pad_token":
            t.inert(key, "padding is never trained on")
        elif isinstance(token, str) and has_token(base, name, token):
            t.inert(key, "the base's tokenizer has it so already")
        elif isinstance(token, str) and name in ROLES:
            ours: dict[str, object] = {f"model.tokens.{name}": token}
            if _trained(t) and token not in EVERYWHERE:
                ours["model.tokens.add_special"] = _with(t, "add_special", [token])
            t.put(key, ours, "added where the tokenizer lacks it" if len(ours) > 1 else None)


def _add(t: Translation, key: str | tuple[str, ...], ours: str, names: list[str]) -> None:
    """Put tokens that are added; axolotl leaves their rows untrained unless told otherwise."""
    special = t.draft.get(("model", "tokens", "add_special")) or []
    new = [name for name in names if name not in special]
    place = ("model", "tokens", ours)
    if _trained(t):
        values = _with(t, ours, new)
        t.put(key, {place: values} if values else {}, "added where the tokenizer lacks them")
        return
    t.draft.set(place, _with(t, ours, new))
    t.draft.set(("model", "adapter", "trainable_token_indices"), "added")
    t.lost(key, "add tokens and leave their rows as they begin: untrained",
           "they are trained here, by `trainable_token_indices: added`; remove tokens that the "
           "base has already")  # fmt: skip


def _trained(t: Translation) -> bool:
    """Return whether the configuration trains embedding and head in full."""
    return TABLES.issubset(t.texts("lora_modules_to_save") or [])


def _with(t: Translation, name: str, more: list[str]) -> list[str]:
    there = t.draft.get(("model", "tokens", name)) or []
    assert isinstance(there, list)
    return list(dict.fromkeys([*there, *more]))
