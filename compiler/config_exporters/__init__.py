"""Recipes -> configurations of other tools, and what became of every value."""

from __future__ import annotations

from .export import EXPORTERS, Exported, export_config

__all__ = ["EXPORTERS", "Exported", "export_config"]
