"""The frame of every page: its template, style and script, and the policy that holds it to them."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from html import unescape
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...schema.printable import printable
from ...schema.secrets import looks, mask

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src {scripts}; base-uri 'none'; "
    "form-action 'none'"
)
"""What a browser lets a page do: show its own style, and run the one script that it came with."""


def render(template: str, *, script: bool = True, **values: Any) -> str:
    """Return a page.

    Every value is escaped but `Markup`, and shown without secrets and active characters.

    Args:
        template: a file of `templates/` that extends `frame.html`.
        script: whether the page searches and turns pages of rows.
        values: what the template shows.
    """
    code = _asset("browse.js") if script else ""
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    policy = POLICY.format(scripts=f"'sha256-{digest}'" if script else "'none'")
    frame: Mapping[str, Any] = {
        "style": _raw(_asset("page.css")),
        "script": _raw(code),
        "policy": policy,
        "version": version("khichdi"),
    }
    return environment().get_template(template).render(**frame, **values)


def page_policy(page: str) -> str:
    """Return the policy that a page, made by `render`, holds a browser to."""
    found = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    assert found is not None
    return unescape(found[1])


def _raw(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)


@cache
def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def environment(*folders: Path) -> Environment:
    """Return the template engine, which masks the secrets that this shell knows of.

    Args:
        folders: templates are looked for here first, then among those of this package.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    among = looks()

    def shown(value: Any) -> Any:
        """Return a value as it is shown: nothing for None, no secret, no character that acts."""
        if value is None:
            return ""
        return printable(mask(value, among)) if type(value) is str else value

    made = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES], encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=shown,
    )
    made.filters["count"] = "{:,}".format
    return made
