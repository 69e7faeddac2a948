"""Open the recipe that a command names, and show its warnings."""

from __future__ import annotations

import sys
from argparse import Namespace

from ..project.session import Session
from ..project.session import open_session as _open_session
from .diagnostics import show


def open_session(options: Namespace, *, allow_breaches: bool = False) -> Session:
    """Open the recipe; deprecated plugins and parameters are shown on standard error.

    Raises:
        InputError: there is no such recipe, or it is wrong, or its lock cannot be read.
    """
    settings = getattr(options, "settings", ())
    session = _open_session(
        options.file,
        store=options.store,
        settings=settings,
        allow_breaches=allow_breaches,
        until=getattr(options, "until", None),
    )
    show_warnings(session, options)
    return session


def show_warnings(session: Session, options: Namespace) -> None:
    """Show a recipe's warnings, unless with `--json` or `-q`."""
    if session.warnings and not (options.quiet or options.json):
        show(session.warnings, sys.stderr, "warning")
