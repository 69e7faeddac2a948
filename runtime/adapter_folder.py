"""The `adapter` folder of a run: the trained adapter in the form in which libraries load it.

Its files follow from hashed artifacts, so that an audit can derive them again; of its two texts the
record has the sha256.

adapter_model.safetensors   the artifact's own bytes
adapter_config.json         the artifact's, with a base that libraries find
tokenizer files             the artifact's, where the recipe changes tokens; else the base's
chat_template.jinja         the recipe's chat template; the base's own where it has no other
README.md                   the model card
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ..schema.digest import file_sha256
from ..schema.document import parse_json
from ..schema.errors import InputError
from ..schema.plan import Plan
from ..schema.record import Output, Record
from .adapter_files import CONFIG
from .audit.audited_run import Claim

CARD = "README.md"
CHAT_TEMPLATE = "chat_template.jinja"
TOKENIZER = (
    "tokenizer*.json", "tokenizer*.model", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "spiece.model", "sentencepiece*.model", "*.tiktoken",
    "tekken.json", "chat_template.json", CHAT_TEMPLATE,
)  # fmt: skip
"""Names of the files that tokenizers are made of."""
HUB = "pkg:huggingface/"
"""The start of the package URL of a repository on the hub."""


@dataclass(frozen=True)
class TrainedBase:
    """The base of a run's adapter.

    Attributes:
        repo: its repository on the hub; None where it came from elsewhere.
        revision: the commit of the repository.
        output: its files in the store.
        inside: the folder of the artifact that the files lie in, `""` or `owner/name`.
    """

    repo: str | None
    revision: str | None
    output: Output
    inside: str

    def tokenizer_files(self) -> dict[str, str]:
        """Return the sha256 of each of its tokenizer's files, by name."""
        start = f"{self.inside}/" if self.inside else ""
        names = {path.removeprefix(start): file.sha256 for path, file in self.output.files.items()}
        return {name: sha for name, sha in names.items() if _of_tokenizer(name)}

    def is_gguf(self) -> bool:
        """Return whether it is a GGUF file, which libraries load by the file's name."""
        return any(path.endswith(".gguf") for path in self.output.files)

    def folder(self, artifact: Path) -> Path:
        """Return the folder of its files, given that of its artifact."""
        return artifact / self.inside if self.inside else artifact


def has_tokenizer(names: Iterable[str]) -> bool:
    """Return whether an adapter's artifact has a tokenizer: that of a recipe that changes it."""
    return any(map(_of_tokenizer, names))


def tokenizer_folder(adapter: Path, base: Path) -> Path:
    """Return the folder of a run's tokenizer: the adapter's artifact, else the base's files."""
    return adapter if has_tokenizer(path.name for path in adapter.iterdir()) else base


def _of_tokenizer(name: str) -> bool:
    return "/" not in name and any(fnmatch(name, pattern) for pattern in TOKENIZER)


def trained_base(plan: Plan, record: Record) -> TrainedBase | None:
    """Return the base of a run's training; None where it trained nothing over one."""
    for step in plan.steps:
        if step.kind != "runtime":
            continue
        source = next((name for role, name, _ in step.sources() if role == "base"), None)
        done = next((one for one in record.steps if one.name == source), None)
        if source is None or done is None or "files" not in done.result.outputs:
            return None
        planned, output = plan.step(source), done.result.outputs["files"]
        url, material = planned.package_url or "", planned.material
        repo = unquote(url.removeprefix(HUB)) if url.startswith(HUB) else None
        revision = material.revision if repo and material else None
        return TrainedBase(repo, revision, output, _inside(list(output.files)))
    return None


def _inside(paths: list[str]) -> str:
    """Return the folder that all files of an artifact lie in, below which there are several."""
    parts = [path.split("/")[:-1] for path in paths]
    depth = 0
    while parts and all(len(one) > depth and one[depth] == parts[0][depth] for one in parts):
        depth += 1
    return "/".join(parts[0][:depth]) if parts else ""


# ---- writing --------------------------------------------------------------------------------


def write_adapter_folder(
    folder: Path,
    artifact: Path,
    base: TrainedBase | None,
    base_artifact: Path | None,
    texts: Mapping[str, str],
) -> None:
    """Write the folder that people take: the artifact, a base that is found, tokenizer and texts.

    Args:
        folder: the folder to write, which may have files of an earlier attempt.
        artifact: the folder of the adapter's artifact.
        base: the base that the adapter was trained on.
        base_artifact: the folder of the base's artifact.
        texts: further files by name, such as the model card.
    """
    shutil.copytree(artifact, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
    if base is not None and base_artifact is not None:
        local = base.folder(base_artifact.resolve())
        config = parse_json((artifact / CONFIG).read_bytes())
        changes = {"base_model_name_or_path": base.repo or str(local), "revision": base.revision}
        (folder / CONFIG).write_text(_text(config, changes), encoding="utf-8")
        for name in base.tokenizer_files() if tokenizer_folder(artifact, local) == local else ():
            shutil.copyfile(local / name, folder / name)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _text(config: Mapping[str, Any], changes: Mapping[str, Any]) -> str:
    return json.dumps({**config, **changes}, indent=2, sort_keys=True) + "\n"


# ---- checking -------------------------------------------------------------------------------


def expected_files(claim: Claim, output: Output) -> dict[str, str]:
    """Return the sha256 that each file of a run's adapter folder is to have.

    The folder may lack files of the tokenizer: those of earlier versions have none.
    """
    folder = claim.folder / "adapter"
    told = {path: file.sha256 for path, file in output.files.items()}
    base = trained_base(claim.plan, claim.record) if claim.plan is not None else None
    if base is not None:
        told |= {} if has_tokenizer(output.files) else base.tokenizer_files()
        if CONFIG in told and _refers(folder / CONFIG, claim, output, base):
            told[CONFIG] = file_sha256(folder / CONFIG)
    return told | claim.record.adapter_texts


def _refers(path: Path, claim: Claim, output: Output, base: TrainedBase) -> bool:
    """Return whether a config is the artifact's own but for a reference to the run's base."""
    artifact = claim.artifact(output)
    if artifact is None or not _is_plain(path) or not _is_plain(artifact / CONFIG):
        return False
    try:
        found, own = parse_json(path.read_bytes()), parse_json((artifact / CONFIG).read_bytes())
    except (InputError, ValueError):
        return False
    named = found.get("base_model_name_or_path") if isinstance(found, dict) else None
    if not isinstance(named, str):
        return False
    if base.repo is None:
        # A store may have been moved since: what the path ends with names the base's bytes.
        tail = base.folder(Path("artifacts") / base.output.manifest.removeprefix("sha256:"))
        same = Path(named).parts[-len(tail.parts) :] == tail.parts and Path(named).is_absolute()
        same = same and _has_bytes(Path(named), claim, base)
    else:
        same = named == base.repo
    changes = {"base_model_name_or_path": named, "revision": base.revision}
    return same and path.read_bytes() == _text(own, changes).encode()


def _has_bytes(place: Path, claim: Claim, base: TrainedBase) -> bool:
    """Return whether a folder that a config names has the base's files, where it is here.

    In the claim's own stores they are hashed at another level; a folder that is not here loads
    nothing.
    """
    inside = any(place.is_relative_to(store.resolve()) for store in claim.stores)
    if inside or not place.exists():
        return True
    root = place.parents[len(Path(base.inside).parts) - 1] if base.inside else place
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*")}
    found = {
        name: file_sha256(path) if _is_plain(path) else None
        for name, path in files.items()
        if path.is_symlink() or not path.is_dir()
    }
    return found == {name: file.sha256 for name, file in base.output.files.items()}


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
