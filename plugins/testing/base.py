"""Conformance tests for plugins of every kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from unittest import SkipTest

from pydantic import ValidationError

from ..base import Plugin
from ..class_checks import fault
from ..kinds import KINDS
from ..side_effects import watched
from .access import forbidden_access
from .source_versions import compare_with_record

Skipped = SkipTest
"""Raised by a test that does not apply; pytest shows it as skipped."""

HEAVY = (
    "bitsandbytes", "datasets", "httpx", "huggingface_hub", "jsonschema", "numpy", "pandas",
    "peft", "pyarrow", "sklearn", "tensorflow", "torch", "transformers",
)  # fmt: skip
"""Libraries that a plugin imports inside its methods, so that every command starts fast."""


class PluginTests:
    """Tests that hold for a plugin of any kind.

    Attributes:
        plugin: the class to test.
        params: parameters as a recipe gives them; left out, the plugin's `example`.
        wrong_params: mappings of parameters that must be refused, if any are worth naming.
        record: a JSON file that holds the digest of the plugin's source beside its version; left
            out, that the version is raised when the source changes is not tested.
        forbids: what a plugin of the kind may not read: `clock`, `network`, `environment`.
    """

    plugin: ClassVar[type[Plugin[Any]]]
    params: ClassVar[Mapping[str, Any] | None] = None
    wrong_params: ClassVar[tuple[Mapping[str, Any], ...]] = ()
    record: ClassVar[Path | None] = None
    forbids: ClassVar[frozenset[str]] = frozenset({"clock", "network", "environment"})

    # ---- helpers for tests of a kind ---------------------------------------------------------

    def given(self) -> dict[str, Any]:
        """Return the parameters that tests use."""
        if self.params is not None:
            return dict(self.params)
        fields = self.plugin.params_model.model_fields
        return {name: value for name, value in self.plugin.example.items() if name in fields}

    def make(self, **changes: Any) -> Any:
        """Return a new instance, its parameters validated as a recipe's are."""
        text = json.dumps({**self.given(), **changes})
        return self.plugin(self.plugin.params_model.model_validate_json(text, strict=True))

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Give a folder that is gone afterwards."""
        with TemporaryDirectory(prefix="khichdi-kit-") as name:
            yield Path(name)

    @contextmanager
    def well_behaved(self, *files: Path) -> Iterator[None]:
        """Refuse side effects, and reading what the kind forbids."""
        with forbidden_access(self.plugin, self.forbids), watched(files):
            yield

    def needs(self, *packages: str) -> None:
        """Skip a test where a package is missing that the plugin says it requires."""
        from importlib.metadata import PackageNotFoundError, version

        for name in (*packages, *self.plugin.requires):
            try:
                version(name)
            except PackageNotFoundError:
                raise Skipped(f"{name} is not installed") from None

    # ---- tests -------------------------------------------------------------------------------

    def test_keeps_the_contract_of_its_kind(self) -> None:
        """Closed and described parameters, a name, a version, a docstring, every method."""
        found = fault(self.plugin, self.plugin.kind, KINDS[self.plugin.kind])
        assert found is None, f"{self.plugin.__qualname__}: {found}"

    def test_example_validates(self) -> None:
        """The example of `recipe plugins show` is one that a recipe may hold."""
        fields = self.plugin.params_model.model_fields
        example = {k: v for k, v in self.plugin.example.items() if k in fields}
        try:
            self.plugin.params_model.model_validate_json(json.dumps(example), strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the parameters"
            raise AssertionError(
                f"the class attribute `example` does not validate: {place}: {first['msg']}"
            ) from None

    def test_unknown_parameters_are_refused(self) -> None:
        """A misspelt parameter is an error, as is each of `wrong_params`."""
        wrong = ({**self.given(), "no_such_parameter": 1}, *self.wrong_params)
        for params in wrong:
            try:
                self.plugin.params_model.model_validate_json(json.dumps(params), strict=True)
            except ValidationError:
                continue
            raise AssertionError(f"these parameters were taken: {json.dumps(params)}")

    def test_schema_builds_with_a_description_for_each_parameter(self) -> None:
        """Editors complete the parameters from their JSON Schema."""
        schema = self.plugin.params_model.model_json_schema()
        bodies = [schema, *schema.get("$defs", {}).values()]
        for body in bodies:
            for name, part in body.get("properties", {}).items():
                described = "description" in part or "$ref" in part or "allOf" in part
                assert described, f"`{name}` has no description in the JSON Schema"
        assert schema.get("additionalProperties") is False, "the schema is open"

    def test_imports_nothing_heavy(self) -> None:
        """Importing it loads no library that makes commands slow."""
        module = self.plugin.__module__
        code = (
            f"import sys, importlib; import khichdi.plugins; before = set(sys.modules); "
            f"importlib.import_module({module!r}); "
            f"print(*sorted(set({HEAVY!r}) & (set(sys.modules) - before)))"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment
        )
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:]
            raise AssertionError(f"{module} cannot be imported by itself: {' '.join(last)}")
        found = done.stdout.split()
        assert not found, f"importing {module} imports {', '.join(found)}: do so inside a method"

    def test_version_is_raised_when_the_source_changes(self) -> None:
        """The same version gives the same results: its source is the one recorded with it."""
        if self.record is None:
            raise Skipped("`record` names no file that holds the source's digest")
        compare_with_record(self.plugin, self.record)
