"""Somebody who uses a hub: a folder, a store and a login of their own."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from khichdi.cli.main import main


@dataclass
class User:
    """Somebody with a folder, a store and a login; commands run in this process."""

    folder: Path
    store: Path
    token: str | None = None

    def call(self, *words: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            patch.setenv("KHICHDI_STORE", str(self.store))
            patch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(self.folder / "no-login"))
            patch.delenv("HF_TOKEN", raising=False)
            if self.token:
                patch.setenv("HF_TOKEN", self.token)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                status = main(list(words))
        assert "Traceback" not in out.getvalue() + err.getvalue()
        return status, out.getvalue(), err.getvalue()

    def json(self, *words: str, status: int = 0) -> Any:
        code, out, err = self.call(*words, "--json")
        assert code == status, out + err
        return json.loads(out)
