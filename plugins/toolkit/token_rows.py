"""Give added tokens their rows in a model's embedding and head. Imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from .token_changes import ended_by, token_facts

CHUNK = 4096
"""Rows that are added up at a time, in float64."""


def give_rows(model: Any, folder: Path) -> None:
    """Apply the token changes of a base folder to the model that was loaded from it.

    The rows of added tokens, of the embedding and of a head of its own, are the mean of the rows
    that the base has: each begins as an average token. Special tokens are set in the
    configuration. A folder without changes changes nothing.

    Raises:
        ValueError: the model has tables of tokens beside its embedding and head.
    """
    facts = token_facts(folder)
    ids = sorted(facts["added"].values())
    if ids:
        _resize(model, ids)
    _set_roles(model, facts["roles"])
    model.added_token_ids = tuple(ids)


def added_token_ids(model: Any) -> tuple[int, ...]:
    """Return the ids of the tokens that the recipe added to a loaded base, in order."""
    return tuple(getattr(model, "added_token_ids", ()))


def _resize(model: Any, ids: list[int]) -> None:
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    rows = len(embedding.weight)
    _check_tables(model, embedding, rows)
    means = [_mean(table.weight) for table in _tables(embedding, head)]
    bias = None if head is None or head.bias is None else head.bias.float().mean()
    if ids[-1] >= rows:
        with torch.random.fork_rng():  # what is drawn for the new rows is not kept
            model.resize_token_embeddings(ids[-1] + 1, mean_resizing=False)
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    with torch.no_grad():
        for table, mean in zip(_tables(embedding, head), means, strict=True):
            table.weight[ids] = mean.to(table.weight)
        if bias is not None:
            head.bias[ids] = bias.to(head.bias)


def _tables(embedding: Any, head: Any) -> list[Any]:
    """Return the modules whose weights have a row for each token, shared weights once."""
    tied = head is None or head.weight is embedding.weight
    return [embedding] if tied else [embedding, head]


def _mean(weight: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(weight.shape[1], dtype=torch.float64, device=weight.device)
    for rows in weight.detach().split(CHUNK):
        total += rows.double().sum(dim=0)
    return total / len(weight)


def _check_tables(model: Any, embedding: Any, rows: int) -> None:
    config = model.config.get_text_config()
    others = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Embedding)
        and module is not embedding
        and module.num_embeddings in (rows, getattr(config, "vocab_size_per_layer_input", rows))
    ]
    if others:
        raise ValueError(
            f"tokens cannot be added to {type(model).__name__}: "
            f"it has another table of tokens, {others[0]}"
        )


def _set_roles(model: Any, roles: dict[str, int]) -> None:
    for config in {id(c): c for c in (model.config, model.config.get_text_config())}.values():
        for role, number in roles.items():
            if role != "unk_token":
                setattr(config, f"{role}_id", number)
    own = getattr(model, "generation_config", None)
    if own is not None and roles:
        for name, value in ended_by(own.to_dict(), roles).items():
            if name in ("bos_token_id", "eos_token_id", "pad_token_id"):
                setattr(own, name, value)
