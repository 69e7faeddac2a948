"""The files of a published repository.

The adapter folder lies at the top, where libraries look for it. What shows how it came to be lies
in a folder of its own.
"""

from __future__ import annotations

import re

from ...schema.errors import InputError

BUNDLE = "khichdi/run.bundle"
LINEAGE = "khichdi/lineage.json"
ATTESTATION = "khichdi/attestation.json"
SIGNATURE = "khichdi/adapter.sig"
GIT_ATTRIBUTES = ".gitattributes"
"""The hub writes it into every repository: which files it keeps as large files. Nobody loads it."""

PROOF = {
    BUNDLE: "the run, for an audit",
    LINEAGE: "base, data, recipe hash and files in one statement",
    ATTESTATION: "signatures on the run",
    SIGNATURE: "signature on the adapter folder (OpenSSF)",
}
"""Files beside the adapter's own, with what each is."""

MEANINGS = {
    "README.md": "model card",
    "adapter_model.safetensors": "adapter",
    "adapter_config.json": "adapter",
    "chat_template.jinja": "chat template",
}
ATTRIBUTE = re.compile(r"\s*(#.*|\S+ filter=lfs diff=lfs merge=lfs -text)?\s*", re.ASCII)


def meaning(path: str) -> str:
    """Return what a file of a published repository is."""
    return PROOF.get(path) or MEANINGS.get(path, "tokenizer")


class PublishedError(InputError):
    """A repository is not what its own bundle says: a true negative answer."""

    status = 1
    code = "published"


def check_attributes(raw: bytes) -> None:
    """Refuse a `.gitattributes` that does more than name large files.

    Raises:
        PublishedError: names the line.
    """
    for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), 1):
        if not ATTRIBUTE.fullmatch(line):
            raise PublishedError(
                f"{GIT_ATTRIBUTES}, line {number}: only lines that name large files were expected",
                hint="the hub writes this file; ask the repository's owner why it was changed",
            )
