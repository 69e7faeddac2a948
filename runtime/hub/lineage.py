"""State where a published adapter descends from: base, data and recipe, in one in-toto statement.

The predicate is SLSA Provenance v1, of the same build type as a run's attestation. Its subjects are
the files by the names under which they are published, so that a tool that knows neither khichdi nor
bundles can match them. The statement follows from the run and the files: it is derived again, byte
for byte, whenever the repository is opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...schema.attestation import (
    BuildDefinition,
    Builder,
    Provenance,
    Resource,
    RunDetails,
    Statement,
)
from ..audit.audited_run import Claim, base_steps
from ..signing.signing import as_digest_set


def lineage(claim: Claim, published: Mapping[str, str], bundle: tuple[str, str]) -> bytes:
    """Return the statement's bytes.

    Args:
        claim: the run.
        published: the sha256 of each file of the adapter folder, as it is published.
        bundle: path and sha256 of the published bundle.
    """
    record = claim.record
    statement = Statement(
        subject=tuple(
            Resource(name=name, digest=as_digest_set(sha256))
            for name, sha256 in sorted(published.items())
        ),
        predicate=Provenance(
            build_definition=BuildDefinition(
                external_parameters={"recipe": record.recipe, "recipeHash": record.recipe_hash},
                internal_parameters={"seed": record.seed, "resultHash": record.result_hash},
                resolved_dependencies=tuple(_parents(claim)),
            ),
            run_details=RunDetails(
                builder=Builder(version={one.name: one.version for one in record.plugins}),
                metadata={},
                byproducts=(Resource(name=bundle[0], digest=as_digest_set(bundle[1])),),
            ),
        ),
    )
    return statement.to_bytes() + b"\n"


def _parents(claim: Claim) -> Iterator[Resource]:
    """Yield base, data sets and other sources, each with the digest over its files."""
    if claim.plan is None:
        return
    bases = base_steps(claim.plan)
    for done in claim.record.steps:
        output = done.result.outputs.get("files")
        if done.kind != "source" or output is None:
            continue
        step = claim.plan.step(done.name)
        revision = step.material.revision if step.material else None
        url = f"{step.package_url}@{revision}" if step.package_url and revision else None
        role = "base" if done.name in bases else done.name.split("/")[0]
        yield Resource(
            name=done.name,
            digest=as_digest_set(output.manifest),
            uri=url or step.package_url,
            annotations={"role": role, "files": len(output.files), "digestOf": "manifest"},
        )
