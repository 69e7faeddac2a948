"""Detect and mask secrets: tokens, keys and passwords by their shape, and this shell's own.

Hashed or published files with a secret are refused, because removing it would change the hashes.
In text that is only shown, the secret's kind replaces it.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

SHAPES: dict[str, tuple[bytes, tuple[bytes, ...]]] = {
    "a token of the Hugging Face hub": (
        rb"\b(?:hf|api_org)_[A-Za-z0-9]{30,}", (b"hf_", b"api_org_"),
    ),
    "a token of GitHub": (
        rb"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{40,})",
        (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_"),
    ),
    "a token of GitLab": (
        rb"\bgl(?:pat|dt|rt)-[A-Za-z0-9_-]{20,}", (b"glpat-", b"gldt-", b"glrt-"),
    ),
    "a key of AWS": (rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", (b"AKIA", b"ASIA")),
    "a secret key of AWS": (
        rb"(?i)\baws_secret_access_key[\"']?[ \t]*[=:][ \t]*[\"']?[A-Za-z0-9/+=]{40}",
        (b"secret_access_key", b"SECRET_ACCESS_KEY"),
    ),
    "a key of Azure": (rb"\b(?:Account|SharedAccess)Key=[A-Za-z0-9+/=]{40,}", (b"Key=",)),
    "a key of Google": (rb"\bAIza[A-Za-z0-9_-]{35}", (b"AIza",)),
    "a key of OpenAI or Anthropic": (
        rb"(?<![\w-])sk-(?:[a-f0-9]{32}\b"
        rb"|(?=[A-Za-z_-]*[0-9])(?=[a-z0-9_-]*[A-Z])[A-Za-z0-9_-]{20,})",
        (b"sk-",),
    ),
    "a token of Slack": (rb"\bxox[abeoprs]-[A-Za-z0-9-]{10,}", (b"xox",)),
    "a key of Stripe": (rb"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}", (b"k_live_", b"k_test_")),
    "a token of PyPI": (rb"\bpypi-[A-Za-z0-9_-]{50,}", (b"pypi-",)),
    "a token of npm": (rb"\bnpm_[A-Za-z0-9]{36}", (b"npm_",)),
    "a token of SendGrid": (rb"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}", (b"SG.",)),
    "a token of Telegram": (rb"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{32,}", (b":AA",)),
    "a token of Databricks": (rb"\bdapi[a-f0-9]{32}", (b"dapi",)),
    "a token of DigitalOcean": (rb"\bdo[opr]_v1_[a-f0-9]{64}", (b"_v1_",)),
    "a key of Replicate": (rb"\br8_[A-Za-z0-9]{37}", (b"r8_",)),
    "a key of Groq": (rb"\bgsk_[A-Za-z0-9]{40,}", (b"gsk_",)),
    "a JSON web token": (
        rb"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}", (b".eyJ",),
    ),
    "a private key": (
        rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
        rb"(?:(?:\\n|\s)*[A-Za-z0-9+/=:,-]{16,})*(?:\\n|\s)*"
        rb"(?:[A-Za-z0-9+/=]*(?:\\n|\s)*-----END [A-Z0-9 ]+-----)?",
        (b"PRIVATE KEY",),
    ),
    "a password in an address": (
        rb"\b[a-z][a-z0-9+.-]*://[^/\s:@\"']+:[^/\s@\"']+@", (b"://",),
    ),
    "an account in an address": (rb"\bhttps?://[^/\s@\"':]+@", (b"://",)),
    "a signed address": (
        rb"[?&](?:X-Amz-Signature|X-Goog-Signature|Signature|sig|access_token|token)="
        rb"[A-Za-z0-9%_-]{16,}",
        (b"ignature=", b"sig=", b"token="),
    ),
    "an entry of .netrc": (
        rb"\bmachine\s+\S+\s+login\s+\S+\s+password\s+[^\s\"']+", (b"machine",),
    ),
    "a password": (
        rb"(?i)\b(?:password|passwd|secret|api[_-]?key|auth[_-]?token)\b[\"']?"
        rb"[ \t]*[=:][ \t]*[\"']?[^\s\"'{},]{8,}",
        (b"passw", b"secret", b"key", b"token"),
    ),
    "a secret of a shell": (
        rb"\b[A-Z][A-Z0-9_]*_(?:TOKEN|KEY|SECRET|PASSWORD)[ \t]*=[ \t]*[\"']?[^\s\"'<\[]{8,}",
        (b"_TOKEN", b"_KEY", b"_SECRET", b"_PASSWORD"),
    ),
    "an authorization header": (
        rb"(?i)\b(?:authorization|x-api-key)\b[\"']?[ \t]*:[ \t]*[\"']?"
        rb"(?:bearer |basic )?[A-Za-z0-9+/=_.-]{8,}",
        (b"authorization", b"x-api-key"),
    ),
}  # fmt: skip
"""Kinds of secrets: the shape, and texts one of which is in all of that shape."""

ANY_CASE = {"a password", "an authorization header"}
SECRET_NAME = re.compile(
    r"(?i)(?:^|_)(?:token|secret|passw(?:or)?d|api_?key|key|credentials?|pat)(?:$|_(?:id|[0-9]+)$)"
)
KEYED = re.compile(r"(?i)^(?:password|passwd|secret|api[_-]?key|auth[_-]?token|authorization)$")
SHORTEST = 8
"""Characters below which a value of the environment is too common to be a secret."""


class FoundSecret(NamedTuple):
    """A secret's kind, and where it is in the bytes."""

    kind: str
    start: int
    end: int


class Look(NamedTuple):
    """How one kind of secret is looked for.

    Most texts have none of the `hints`, in lower case where `any_case`, and need no search.
    """

    kind: str
    hints: tuple[bytes, ...]
    shape: bytes
    any_case: bool = False

    def pattern(self) -> re.Pattern[bytes]:
        """Return the compiled shape, which takes long to make."""
        return _compiled(self.shape)


def looks(environment: Mapping[str, str] | None = None) -> list[Look]:
    """Return how secrets are looked for: by shape, and what secret variables are set to."""
    shapes = [Look(kind, some, shape, kind in ANY_CASE) for kind, (shape, some) in SHAPES.items()]
    own = live(environment).items()
    return shapes + [Look(f"what {name} is set to", (raw,), re.escape(raw)) for name, raw in own]


def secrets_in(raw: bytes, among: Sequence[Look] | None = None) -> Iterator[FoundSecret]:
    """Yield text that looks like a secret, or equals a secret environment variable.

    Pass `looks()` as `among` for many texts: the environment is then read once.
    """
    lower = raw.lower()
    for look in looks() if among is None else among:
        if any(hint in (lower if look.any_case else raw) for hint in look.hints):
            for match in look.pattern().finditer(raw):
                yield FoundSecret(look.kind, *match.span())


def live(environment: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """Return what this shell's secret variables are set to, by their names."""
    values = os.environ if environment is None else environment
    return {
        name: value.encode(errors="surrogateescape")
        for name, value in values.items()
        if len(value) >= SHORTEST and SECRET_NAME.search(name)
    }


def mask(text: str, among: Sequence[Look] | None = None) -> str:
    """Return a text with each secret's kind in its place, to be shown."""
    raw = text.encode(errors="surrogatepass")
    found = sorted(secrets_in(raw, among), key=lambda one: (one.start, -one.end))
    if not found:
        return text
    pieces, at = [], 0
    for one in found:
        if one.end <= at:
            continue
        if one.start >= at:
            pieces += [raw[at : one.start], f"[{one.kind}]".encode()]
        at = one.end
    return b"".join([*pieces, raw[at:]]).decode(errors="replace")


def masked(value: Any, among: Sequence[Look] | None = None) -> Any:
    """Return JSON values whose texts are masked, to be shown."""
    among = looks() if among is None else among
    if isinstance(value, str):
        return mask(value, among)
    if isinstance(value, dict):
        return {
            mask(name, among): "[a password]"
            if isinstance(one, str) and len(one) >= SHORTEST and KEYED.match(name)
            else masked(one, among)
            for name, one in value.items()
        }
    return [masked(one, among) for one in value] if isinstance(value, list | tuple) else value


@functools.cache
def _compiled(shape: bytes) -> re.Pattern[bytes]:
    return re.compile(shape)
