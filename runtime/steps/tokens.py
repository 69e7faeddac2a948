"""Set special tokens of the base's tokenizer, and add tokens to it."""

from __future__ import annotations

from ...plugins.toolkit.token_changes import write_tokenizer
from .context import Context, Outcome, Produced


def set_tokens(context: Context) -> Outcome:
    """Write the base's tokenizer with the recipe's tokens."""
    folder = context.output("tokenizer")
    added = write_tokenizer(context.base(), context.step.settings, folder)
    return Outcome({"tokenizer": Produced(folder, "files")}, facts={"added": added})
