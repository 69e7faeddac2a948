"""In-toto statements v1: of a run (SLSA Provenance v1) or an audit (Test Result).

Field names are those of the specifications. The provenance's `buildType` is this project's own:
`docs/proof.md` describes how to reproduce such a run.
"""

from __future__ import annotations

import json
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from .document import Document, unique

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PROVENANCE: Final = "https://slsa.dev/provenance/v1"
TEST_RESULT: Final = "https://in-toto.io/attestation/test-result/v0.1"
PAYLOAD = "application/vnd.in-toto+json"
BUILD: Final = "urn:khichdi:run:1"
BUILDER: Final = "urn:khichdi:recipe-run"


class Camel(Document):
    """A document whose keys are written in camel case, as the specifications have them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Resource(Camel):
    """A ResourceDescriptor: a name, and the digests that identify it."""

    name: str
    digest: dict[str, str] | None = None
    uri: str | None = None
    annotations: dict[str, JsonValue] | None = None


class BuildDefinition(Camel):
    """Inputs: the requested parameters and the resolved dependencies."""

    build_type: Literal["urn:khichdi:run:1"] = BUILD
    external_parameters: dict[str, JsonValue]
    internal_parameters: dict[str, JsonValue]
    resolved_dependencies: tuple[Resource, ...]


class Builder(Camel):
    """The builder: the program and its version, never a person."""

    id: Literal["urn:khichdi:recipe-run"] = BUILDER
    version: dict[str, str]


class RunDetails(Camel):
    """Details of the execution; `metadata` is in no hash."""

    builder: Builder
    metadata: dict[str, str]
    byproducts: Annotated[tuple[Resource, ...], unique("name")]


class Provenance(Camel):
    """SLSA Provenance v1."""

    build_definition: BuildDefinition
    run_details: RunDetails


class AuditResult(Camel):
    """Test Result v0.1 of an audit: a test is a level with its verdict, and where it diverged."""

    result: Literal["PASSED", "WARNED", "FAILED"]
    configuration: Annotated[tuple[Resource, ...], unique("name")]
    passed_tests: tuple[str, ...] = ()
    warned_tests: tuple[str, ...] = ()
    failed_tests: tuple[str, ...] = ()


class Signable(Camel):
    """in-toto Statement v1, of any predicate."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(STATEMENT, alias="_type")
    subject: Annotated[tuple[Resource, ...], unique("name")] = Field(min_length=1)

    def to_bytes(self) -> bytes:
        """Return the bytes that are signed; a signature is of bytes, whatever their layout."""
        value = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class Statement(Signable):
    """The provenance of a run, as its trainer states it."""

    predicate_type: Literal["https://slsa.dev/provenance/v1"] = PROVENANCE
    predicate: Provenance


class AuditStatement(Signable):
    """The result of an audit of a run, stated by its auditor."""

    predicate_type: Literal["https://in-toto.io/attestation/test-result/v0.1"] = TEST_RESULT
    predicate: AuditResult
