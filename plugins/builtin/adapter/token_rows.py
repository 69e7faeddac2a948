"""Choose the rows of the embedding and the head that are trained token by token."""

from __future__ import annotations

from typing import Any, Literal

from khichdi.plugins import ContradictionError

UNTRAINED = "tokens are added whose rows are not trained"
TRAIN = (
    "add `trainable_token_indices: added` to `adapter: {use: lora}`, or `modules_to_save: "
    "[embed_tokens, lm_head]`; remove tokens that the base has already"
)


def chosen_rows(
    asked: Literal["added"] | tuple[int, ...], model: Any
) -> dict[str, list[int]] | None:
    """Return ids by the paths of embedding and head, as peft takes them; None where none is asked.

    Raises:
        ContradictionError: the embedding has no such row, or the head has a bias.
    """
    from khichdi.plugins.toolkit.token_rows import added_token_ids

    ids = sorted(set(added_token_ids(model) if asked == "added" else asked))
    if not ids:
        return None
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    rows = len(embedding.weight)
    if ids[-1] >= rows:
        raise ContradictionError(
            f"trainable_token_indices: {ids[-1]} is not a token of the base, "
            f"whose embedding has {rows:,} rows",
            hint="name ids below that; for tokens that the recipe adds, write `added`",
        )
    if head is not None and getattr(head, "bias", None) is not None:
        raise ContradictionError(
            "trainable_token_indices: the head has a bias, which peft would leave out",
            hint="train the tables in full, by `modules_to_save: [embed_tokens, lm_head]`",
        )
    paths = {id(module): name for name, module in model.named_modules()}
    found = {paths[id(embedding)]: ids}
    if head is not None and head.weight is not embedding.weight:
        found[paths[id(head)]] = ids
    return found
