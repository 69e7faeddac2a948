"""Parse the address of a model repository on the hub, `hf://OWNER/NAME[@REVISION]`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...schema.errors import InputError

SCHEME = "hf://"
BRANCH = "main"
NAME = r"[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9_])?"
ADDRESS = re.compile(rf"hf://(?P<repo>{NAME}/{NAME})(?:@(?P<revision>[\w./-]{{1,200}}))?", re.ASCII)
OTHERS = ("datasets", "spaces", "buckets", "kernels")
"""First words of addresses of other kinds of repositories, which are not owners of models."""


@dataclass(frozen=True)
class HubAddress:
    """A model repository and one of its revisions.

    Attributes:
        repo: `owner/name`.
        revision: a branch, a tag or a commit; None where the address names none.
    """

    repo: str
    revision: str | None

    @property
    def wanted(self) -> str:
        """The revision, the main branch where none is named."""
        return self.revision or BRANCH

    def at(self, revision: str) -> HubAddress:
        """Return the same repository at another revision."""
        return HubAddress(self.repo, revision)

    def __str__(self) -> str:
        return f"{SCHEME}{self.repo}" + (f"@{self.revision}" if self.revision else "")


def is_hub_address(text: object) -> bool:
    """Return whether a text is meant as an address of the hub."""
    return str(text).startswith(SCHEME)


def parse_address(text: str) -> HubAddress:
    """Return the address that a text has.

    Raises:
        InputError: it is not the address of a model repository.
    """
    found = ADDRESS.fullmatch(text)
    if found is None or found["repo"].split("/")[0] in OTHERS:
        raise InputError(
            f"{text!r} is not the address of a model repository",
            hint="write hf://OWNER/NAME, or hf://OWNER/NAME@REVISION",
        )
    return HubAddress(found["repo"], found["revision"])
