"""The conformance kit: a class of tests per kind, for pytest and for `recipe plugins check`.

    from khichdi.plugins.testing import FilterTests

    class TestNoShouting(FilterTests):
        plugin = NoShouting
        params = {"share": 0.4}

All other attributes have defaults; see `PluginTests` and the class of the kind. Each test says in
its message what to fix.
"""

from __future__ import annotations

from ..kinds import KINDS
from .base import PluginTests, Skipped
from .material import make_base, make_packs, make_rows
from .models import (
    AdapterTests,
    EvaluatorTests,
    ExporterTests,
    QuantizerTests,
    RuntimeTests,
    ScorerTests,
)
from .rows import FilterTests, ReaderTests, RuleTests, SamplerTests, SourceTests, TemplateTests

__all__ = [
    "AdapterTests",
    "EvaluatorTests",
    "ExporterTests",
    "FilterTests",
    "PluginTests",
    "QuantizerTests",
    "ReaderTests",
    "RuleTests",
    "RuntimeTests",
    "SamplerTests",
    "ScorerTests",
    "Skipped",
    "SourceTests",
    "TemplateTests",
    "kit_for",
    "make_base",
    "make_packs",
    "make_rows",
]

_KITS: dict[str, type[PluginTests]] = {
    "source": SourceTests,
    "reader": ReaderTests,
    "filter": FilterTests,
    "scorer": ScorerTests,
    "sampler": SamplerTests,
    "template": TemplateTests,
    "quantizer": QuantizerTests,
    "adapter": AdapterTests,
    "runtime": RuntimeTests,
    "evaluator": EvaluatorTests,
    "exporter": ExporterTests,
    "rule": RuleTests,
}
assert _KITS.keys() == KINDS.keys()


def kit_for(kind: str) -> type[PluginTests]:
    """Return the class of tests of a kind."""
    return _KITS[kind]
