"""Run the conformance kit on installed plugins or a plugin file: one line each, and what to fix."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ..project.plugin_check import check_plugins
from .output import columns, emit


def run(options: Namespace) -> int:
    """Run the kit on the plugins that were named, or on all; 1 when one does not conform."""
    found = check_plugins(options.names, options.kind)
    wrong = sum(not document["conforms"] for document in found)
    lines = [columns([_row(document) for document in found])]
    lines += [
        f"{document['kind']} {document['name']}: {failure['test']}\n    {failure['message']}"
        for document in found
        for failure in document["failures"]
    ]
    lines.append(f"{len(found) - wrong} of {len(found)} plugins conform")
    emit(options, {"conform": not wrong, "plugins": found}, "\n".join(lines))
    return 1 if wrong else 0


def _row(document: dict[str, Any]) -> tuple[str, ...]:
    counts = [f"{document['passed']} passed"]
    counts += [f"{len(document[k])} {w}" for k, w in _COUNTED if document[k]]
    verdict = "conforms" if document["conforms"] else "FAILS"
    where = document["distribution"]
    return document["kind"], document["name"], where, verdict, ", ".join(counts)


_COUNTED = (("skipped", "not applicable here"), ("failures", "failed"))
