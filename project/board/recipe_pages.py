"""Pages about recipes and plugins: lists, the editor, what is wrong with a text, differences."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from ...compiler.language.json_schema import language_schema
from ...compiler.yaml.writer import flow
from ...plugins.kinds import KINDS
from ...plugins.registry import load_registry
from ...runtime.report.compare_page import shown_value
from ...schema.errors import KhichdiError, RegistryError
from ...schema.units import duration, gibibytes
from ..diff_operands import Operand, open_operand, operand_of
from ..difference import difference
from ..plugin_description import describe, list_plugins
from ..session import open_session
from .completion import completions
from .pages import Board, Form, NotHereError, ticks
from .recipe_check import REFUSAL, check_text, estimate_text
from .recipe_files import ChangedError, RecipeText

STARTER = """\
recipe: 1
name: mine
data:
  mine:
    source: {use: files, include: [rows.jsonl]}
    read: {use: jsonl}
"""
EFFECTS = {
    "rows": "{:,}".format, "tokens": "{:,}".format, "steps": "{:,}".format,
    "gpu_memory_bytes": gibibytes, "seconds": duration,
}  # fmt: skip
WORDS = {"gpu_memory_bytes": "GPU memory", "seconds": "time"}


class RecipePages:
    """Answers about recipes and plugins."""

    def __init__(self, board: Board) -> None:
        self.board = board

    # ---- recipes ------------------------------------------------------------------------------

    def list(self, _: Request) -> Response:
        """Show the recipes of the folder, and those that ship."""
        found = self.board.folder.list()
        own = [one for one in found if not one.shipped]
        shipped = [one for one in found if one.shipped]
        return self.board.page("recipes.html", own=own, shipped=shipped)

    def own(self, request: Request) -> Response:
        """Show a recipe of the folder in the editor."""
        edited = self.board.folder.read(request.path_params["name"])
        return self._editor(edited, saved="saved" in request.query_params)

    def shipped(self, request: Request) -> Response:
        """Show a recipe that ships."""
        return self._editor(self.board.folder.read(request.path_params["name"], shipped=True))

    def new(self, _: Request) -> Response:
        """Show the editor with a few lines to start from."""
        return self._editor(RecipeText("mine.yaml", STARTER, "", False))

    def save(self, request: Request, form: Form) -> Response:
        """Write a recipe of the folder, unless it has changed since it was opened."""
        self.board.refuse_writing()
        edited = self._edited(form)
        try:
            self.board.folder.save(edited.name, edited.text, edited.digest)
        except ChangedError as error:
            return self._editor(edited, error, 409)
        except KhichdiError as error:
            return self._editor(edited, error, 400)
        return RedirectResponse(f"/recipes/own/{quote(edited.name)}?saved", 303)

    def check(self, request: Request, form: Form) -> Response:
        """Say what is wrong with a text, and what fits where the cursor is; nothing is written."""
        edited = self._edited(form)
        found = check_text(self.board.folder, edited, plugin_files=self.board.write)
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse(found.as_json())
        place = form.get("place", "")
        at = int(place) if place.isascii() and place.isdigit() and len(place) < 9 else 0
        fitting = completions(language_schema(load_registry()), edited.text, at)
        return self.board.page("check_part.html", found=found, edited=edited, fitting=fitting)

    def estimate(self, request: Request, form: Form) -> Response:
        """Say what a run of a text would take."""
        edited = self._edited(form)
        found, fault = None, None
        try:
            found = estimate_text(
                self.board.folder, edited, self.board.store.root, plugin_files=self.board.write
            )
        except KhichdiError as error:
            fault = error
        if "hx-request" in request.headers:
            return self.board.page("estimate_part.html", estimated=found, fault=fault)
        return self._editor(edited, estimated=found, fault=fault)

    def schema(self, _: Request) -> Response:
        """Return the JSON Schema of the language, for an editor's own completion."""
        return JSONResponse(language_schema(load_registry()))

    def _edited(self, form: Form) -> RecipeText:
        text = form.get("text", "").replace("\r\n", "\n")  # as browsers send lines
        shipped = form.get("shipped") == "yes"
        name = form.get("name", "").strip()
        if shipped:
            return self.board.folder.read(name, shipped=True)
        self.board.folder.path(name)
        return RecipeText(name, text, form.get("digest", ""), False)

    def _editor(
        self,
        edited: RecipeText,
        error: KhichdiError | None = None,
        status: int = 200,
        **more: Any,
    ) -> Response:
        found = check_text(self.board.folder, edited, plugin_files=self.board.write)
        values = {"estimated": None, "fault": None, "saved": False, **more}
        lines = edited.text.count("\n") + 1
        return self.board.page(
            "editor.html", status, edited=edited, error=error, found=found, fitting=None,
            lines=lines, **values,
        )  # fmt: skip

    # ---- differences --------------------------------------------------------------------------

    def diff(self, request: Request) -> Response:
        """Show what differs between two recipes, or runs."""
        a, b = (request.query_params.get(name, "").strip() for name in ("a", "b"))
        recipes = [one.name for one in self.board.folder.list()]
        values: dict[str, Any] = {"a": a, "b": b, "recipes": recipes, "found": None}
        if a and b:
            one, other = self._operand(a), self._operand(b)
            found = difference(one, other)
            values |= {
                "found": found,
                "changes": [
                    [each.path, shown_value(each.before), shown_value(each.after)]
                    for each in found.changes
                ],
                "effects": _effects(found.before, found.after),
            }
        return self.board.page("diff.html", **values)

    def _operand(self, name: str) -> Operand:
        """Open a recipe of the folder, one that ships, or a run of the store, and nothing else."""
        inside = name not in (".", "..") and "/" not in name and "\0" not in name
        if inside and (self.board.store.runs / name).is_dir():
            return open_operand(str(self.board.store.runs / name), store=self.board.store.root)
        known = {one.name: one.shipped for one in self.board.folder.list()}
        if name not in known:
            raise NotHereError(
                f"{name[:80]} is not a recipe or a run here", hint="choose one of the lists"
            )
        session = open_session(
            name if known[name] else f"./{name}",
            store=self.board.store.root,
            allow_breaches=True,
            opener=self.board.folder.opener(),
            refusal=None if self.board.write else REFUSAL,
        )
        return operand_of(session)

    # ---- plugins ------------------------------------------------------------------------------

    def plugins(self, _: Request) -> Response:
        """Show the installed plugins by kind."""
        found = list_plugins()
        kinds = {kind: [one for one in found if one["kind"] == kind] for kind in KINDS}
        return self.board.page("plugins.html", kinds=kinds, count=len(found))

    def plugin(self, request: Request) -> Response:
        """Show a plugin with its parameters and an example."""
        kind, name = (request.path_params[key] for key in ("kind", "name"))
        registry = load_registry()
        try:
            found = describe(registry, registry.get(kind, name))
        except RegistryError as error:
            raise NotHereError(error.message, hint=error.hint) from None
        rows = [
            [
                one["name"],
                ticks(one["takes"]),
                "required" if one["required"] else flow(one["default"]) if "default" in one else "",
                ticks(one["description"] + " Cannot change results." * one["operational"]),
            ]
            for one in found["parameters"]
        ]
        return self.board.page(
            "plugin.html", found=found, rows=rows, example=flow(found["example"])
        )


def _effects(before: dict[str, Any], after: dict[str, Any]) -> list[list[str]]:
    rows = []
    for key, shown in EFFECTS.items():
        values = [side.get(key) for side in (before, after)]
        if any(value is not None for value in values):
            cells = ["unknown" if value is None else shown(value) for value in values]
            rows.append([WORDS.get(key, key), *cells])
    return rows
