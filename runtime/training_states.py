"""Read and write the artifact of training states, and compute its digest."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..schema.digest import described_safetensors
from ..schema.training_states import INDEX, State, States


def write_states(states: States, files: Path, folder: Path) -> None:
    """Put the states that a training left below `files` into the folder of an artifact.

    Files are linked where that can be: a state is three times as large as the adapter.
    """
    for state in states.bounds:
        for group in state.tensors if state.kept else ():
            target = folder / state.folder / f"{group}.safetensors"
            target.parent.mkdir(exist_ok=True)
            _link_or_copy(files / state.folder / target.name, target)
    (folder / INDEX).write_text(states.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_states(folder: Path) -> States:
    """Return the index of states in an artifact.

    Raises:
        InputError: the index is not as it was written.
    """
    return States.from_json((folder / INDEX).read_bytes(), INDEX)


def states_digest(folder: Path) -> str:
    """Return the digest of an artifact's states, every tensor that is there hashed again."""
    told = read_states(folder)
    bounds = tuple(_as_found(state, folder) if state.kept else state for state in told.bounds)
    return told.model_copy(update={"bounds": bounds}).digest()


def _as_found(state: State, folder: Path) -> State:
    files = sorted((folder / state.folder).glob("*.safetensors"))
    tensors = {path.stem: described_safetensors(path) for path in files}
    return state.model_copy(update={"tensors": tensors})


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
