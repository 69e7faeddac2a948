"""Plugins that misbehave, each a distribution of its own: the error says what, whose and where."""

from __future__ import annotations

import importlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from third_party import HEAD, forget, install, plugin

from khichdi.compiler.compile import compile_recipe, with_lock
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe
from khichdi.runtime.execute import Executor
from khichdi.runtime.sources.pin import pin
from khichdi.runtime.store.store import Store
from khichdi.schema.errors import KhichdiError, RecipeError, RegistryError, WorkError

KEEP = "def reasons(self, batch):\n    return [None] * batch.num_rows"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder that Python imports from, empty again for the next test."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delenv("KHICHDI_PLUGINS", raising=False)
    yield folder
    forget("acme", "other")
    importlib.invalidate_caches()


# ---- refused at load ------------------------------------------------------------------------

FILTER = plugin("filter", KEEP)
AT_LOAD = {
    "wrong kind": (plugin("filter", KEEP, "khichdi_readers"), "returns subclasses of Reader"),
    "no plugin": (FILTER.replace("[Ill]", "['ill']"), "returns subclasses of Filter"),
    "open parameters": (
        FILTER.replace('"""No parameters."""', 'model_config = ConfigDict(extra="allow")'),
        "must stay closed",
    ),
    "parameters that change": (
        FILTER.replace('"""No parameters."""', "model_config = ConfigDict(frozen=False)"),
        "must stay closed .* and frozen",
    ),
    "open inside": (
        FILTER.replace(
            '    """No parameters."""',
            '    class Inner(BaseModel):\n        x: int = Field(1, description="X.")\n'
            '    inner: Inner = Field(Inner(), description="Inner.")',
        ),
        r"parameters \(of `inner`\) must stay closed",
    ),
    "undescribed": (FILTER.replace('"""No parameters."""', "share: float = 1.0"), "no description"),
    "a word of the language": (
        FILTER.replace('"""No parameters."""', 'use: str = Field("", description="Use.")'),
        "word of the recipe language",
    ),
    "misspelt hook": (
        plugin("filter", KEEP, "khichdi_filtres"),
        "no hook `khichdi_filtres`.*did you mean `khichdi_filters`",
    ),
    "unmarked hook": (
        FILTER.replace("@hookimpl\n", ""),
        "`khichdi_filters` is not marked.*@hookimpl",
    ),
    "hook with arguments": (FILTER.replace("filters()", "filters(recipe)"), "recipe"),
    "no hook": (HEAD, "has no hook"),
    "hook that raises": (FILTER.replace("return [Ill]", "return [Il]"), "NameError"),
    "hook without a list": (FILTER.replace("return [Ill]", "return None"), "gives no list"),
    "cannot be imported": ("import no_such_library\n", "cannot be imported: ModuleNotFoundError"),
    "another API": (FILTER + "\nKHICHDI_API = 99\n", "version 99 of the plugin API"),
    "unfinished": (plugin("filter", "pass"), "neither `reason` nor `reasons`"),
    "misspelt method": (plugin("filter", KEEP.replace("reasons", "reasns")), "it defines neither"),
    "other arguments": (
        plugin("filter", KEEP.replace("self, batch", "self, batch, more")),
        r"`reasons` must be a method that takes \(batch\)",
    ),
    "bad name": (FILTER.replace('"ill"', '"Ill Filter"'), "lower-case words"),
    "bad version": (FILTER.replace('name = "ill"', 'name = "ill"; version = "2"'), "an integer"),
    "no docstring": (FILTER.replace('"""Do what no plugin should."""', ""), "docstring"),
}


@pytest.mark.parametrize("case", AT_LOAD)
def test_a_bad_registration_is_refused_with_distribution_and_file(case: str, site: Path) -> None:
    source, expected = AT_LOAD[case]
    module = install(site, "acme", source)
    with pytest.raises(RegistryError) as caught:
        load_registry()
    text = " ".join(str(caught.value).split())
    assert re.search(expected, text), text
    assert "acme 1.2" in text
    if case != "cannot be imported":
        assert str(module) in text


def test_a_name_that_two_distributions_give_names_both_files(site: Path) -> None:
    files = [install(site, name, FILTER) for name in ("acme", "other")]
    with pytest.raises(RegistryError, match="two filter plugins are named `ill`") as caught:
        load_registry()
    assert all(str(file) in str(caught.value) for file in files)


def test_two_distributions_may_call_their_entry_points_the_same(site: Path) -> None:
    install(site, "acme", FILTER)
    install(site, "other", FILTER.replace('"ill"', '"well"'))
    points = site / "other-1.2.dist-info" / "entry_points.txt"
    points.write_text("[khichdi]\nacme = other\n")
    assert {"ill", "well"} <= set(load_registry().names("filter"))


# ---- refused when they run ------------------------------------------------------------------

DATA = """\
recipe: 1
model:
  base: {use: files, folder: quickstart/base, include: ["*"]}
  adapter: {use: lora, target_modules: all-linear}
data:
  mine:
    source: {use: files, include: [mine.jsonl]}
    read: {use: jsonl}
    sample: {use: all}
mixture: {validation: {count: 2}}
train: {use: qlora, template: {use: alpaca}, sequence_len: 64, cpu_threads: 1}
"""
PLACES = {
    "source": ("source: {use: files, include: [mine.jsonl]}", "source: {use: ill}"),
    "reader": ("read: {use: jsonl}", "read: {use: ill}"),
    "filter": ("    sample:", "    filters: [{use: ill}]\n    sample:"),
    "scorer": ("    sample:", "    score: {use: ill}\n    sample:"),
    "sampler": ("sample: {use: all}", "sample: {use: ill}"),
    "template": ("{use: alpaca}", "{use: ill}"),
    "runtime": ("{use: qlora, template: {use: alpaca}, sequence_len: 64, cpu_threads: 1}",
                "{use: ill, template: {use: alpaca}, sequence_len: 64}"),
    "evaluator": ("train:", "evaluate: [{use: ill}]\ntrain:"),
    "exporter": ("train:", "export: [{use: ill}]\ntrain:"),
    "rule": ("train:", "rules: [{use: ill}]\ntrain:"),
}  # fmt: skip


def reasons(line: str) -> str:
    return f"def reasons(self, batch):\n    {line}\n    return [None] * batch.num_rows"


def each(line: str) -> str:
    """Return a filter that does something when it comes to the row whose input is 3."""
    return (
        "def reasons(self, batch):\n"
        "    for text in batch.column('input').to_pylist():\n"
        f"        if text == '3':\n            {line}\n"
        "    return [None] * batch.num_rows"
    )


READ = """
def read(self, files):
    import pyarrow as pa
    yield pa.record_batch({"id": ["mine.jsonl#0"], "input": ["a"]})
    %s
"""
RENDER = """
def segments(self, row, tokenizer):
    %s
    return [Segment(row["input"], False), Segment(row["output"], True)]
"""
SCORE = "def score(self, job):\n    return %s"
EDIT = "def edit(self, batch, draw):\n    return %s"
THIRD = "row mine/mine.jsonl#3"
AT_WORK: dict[str, tuple[str, str, str]] = {
    "filter raises": ("filter", each("raise KeyError('x')"), f"{THIRD}: KeyError: 'x'"),
    "filter reads a number": ("filter", each("int('no number')"), f"{THIRD}: ValueError"),
    "filter gives nothing": ("filter", "def reasons(self, batch): pass", r"gave nothing \(None\)"),
    "filter gives too few": ("filter", "def reasons(self, batch): return []", "0 reasons for "),
    "filter gives numbers": (
        "filter", "def reasons(self, batch): return [None, 7] * (batch.num_rows // 2)",
        "row mine/mine.jsonl#1: gave int as a reason"),
    "filter gives sentences": (
        "filter", "def reasons(self, batch): return ['Too long!'] * batch.num_rows",
        "row mine/mine.jsonl#0: gave 'Too long!' as a reason"),
    "filter draws": ("filter", each("random.random()"), f"{THIRD}: .*global state of `random`"),
    "filter draws by numpy": (
        "filter", each("import numpy; numpy.random.rand()"), f"{THIRD}: .*`numpy.random`"),
    "filter draws by torch": ("filter", each("import torch; torch.rand(1)"), f"{THIRD}: .*torch"),
    "filter changes environment": (
        "filter", each("os.environ['ACME'] = '1'"), f"{THIRD}: .*environment variable ACME"),
    "filter changes folder": ("filter", each("os.chdir('/')"), f"{THIRD}: .*directory to /"),
    "filter prints": ("filter", each("print('hello')"), f"{THIRD}: printed .*'hello'"),
    "filter hangs": ("filter", reasons("time.sleep(60)"), "made no progress for 0.5 s"),
    "filter lacks a package": (
        "filter", reasons("import no_such_library"), "package `no_such_library` is not installed"),
    "filter fails to begin": (
        "filter", "def begin(self, inputs): 1 / 0\n" + KEEP, "ZeroDivisionError"),
    "editor gives a list": ("editor", EDIT % "[]", "gave list; a record batch was expected"),
    "editor loses rows": ("editor", EDIT % "batch.slice(1)", "must return the same rows"),
    "editor changes ids": (
        "editor", EDIT % "batch.set_column(0, 'id', batch.column('input'))", "with the same ids"),
    "reader raises": ("reader", READ % "raise IndexError('y')", "after mine.jsonl#0: IndexError"),
    "reader gives rows": ("reader", READ % "yield {'id': 'x'}", "after mine.jsonl#0: gave dict"),
    "reader gives columns": (
        "reader", READ % "yield pa.record_batch({'id': ['b'], 'colour': ['red']})", "colour"),
    "reader writes": (
        "reader", READ % "(files[0].location.parent / 'notes').write_text('n')",
        "changed its input: notes"),
    "sampler goes too far": (
        "sampler", "def select(self, table, draw): return [99]", "not there, 99; there are 6"),
    "sampler takes twice": (
        "sampler", "def select(self, table, draw): return [1, 1]", "selected a row twice"),
    "sampler changes draws": (
        "sampler", "def select(self, table, draw):\n    draw.sort()\n    return [0]",
        "changed its input: the draws"),
    "scorer gives a list": ("scorer", SCORE % "[1.0]", "gave list; Scores were expected"),
    "scorer gives no numbers": (
        "scorer", SCORE % "Scores([1.0, float('nan')] * 3)", "row mine/mine.jsonl#1: .*finite"),
    "template raises": ("template", RENDER % "row['colour']", r"row mine/mine.jsonl#\d: KeyError"),
    "template gives text": ("template", RENDER % "return 'a'", r"#\d: TypeError: gave str"),
    "template changes rows": (
        "template", RENDER % "row['output'] = 'x'", r"row mine/mine.jsonl#\d: changed its input"),
    "source raises": (
        "source", "def pin(self, folder): 1 / 0\ndef fetch(self, pin, folder, into): pass",
        "ZeroDivisionError"),
    "source gives a list": (
        "source", "def pin(self, folder): return []\ndef fetch(self, pin, folder, into): pass",
        "gave list; a Pin was expected"),
    "runtime gives nothing": ("runtime", "def train(self, job): pass", "gave nothing"),
    "runtime writes nothing": (
        "runtime", "def train(self, job): return TrainingResult({}, [], {})", "wrote no adapter"),
    "evaluator gives no numbers": (
        "evaluator", "def evaluate(self, job): return EvaluationResult({'a': 'b'}, [])",
        "'b' as metric `a`"),
    "rule raises": ("rule", "def breaches(self, facts): 1 / 0", "ZeroDivisionError"),
    "rule gives texts": ("rule", "def breaches(self, facts): return ['no']", "gave str"),
    "rule changes facts": (
        "rule", "def breaches(self, facts):\n    facts.data_licenses.clear()\n    return []",
        "changed its input"),
}  # fmt: skip


class Silent:
    def started(self, step: Any) -> None: ...

    def progress(self, step: Any, progress: Any) -> None: ...

    def finished(self, step: Any) -> None: ...


def cook(folder: Path, kind: str) -> Executor:
    """Check, lock and run a recipe with the plugin `ill`, as far as it goes."""
    recipes = Path(__file__).parents[2] / "recipes" / "quickstart" / "base"
    (folder / "quickstart").mkdir()
    (folder / "quickstart" / "base").symlink_to(recipes)
    lines = [json.dumps({"instruction": "i", "input": str(n), "output": "o"}) for n in range(6)]
    (folder / "mine.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "mine.yaml").write_text(DATA.replace(*PLACES[kind]))
    registry = load_registry()
    compiled = compile_recipe("mine.yaml", folder, open_recipe, registry)
    lock = pin(compiled.plan, compiled.folders, registry)
    plan = with_lock(compiled, registry, lock).plan
    return Executor(plan, Store(folder / "store"), registry, compiled.folders, Silent())


@pytest.mark.parametrize("case", AT_WORK)
def test_a_fault_at_work_names_plugin_distribution_step_and_row(
    case: str, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, body, expected = AT_WORK[case]
    if "hangs" in case:
        monkeypatch.setenv("KHICHDI_PATIENCE", "0.5")
    if "torch" in case:
        import torch  # noqa: F401 - a library that is first loaded inside may draw as it loads
    install(site, "acme", plugin(kind, body))
    kind = "filter" if kind == "editor" else kind
    before = Path.cwd()
    run: Executor | None = None
    text = ""
    try:
        run = cook(tmp_path, kind)
        run.run()
    except KhichdiError as error:
        text = str(error)
    assert re.search(expected, text), text
    assert f"{kind} `ill` of acme 1.2" in text
    assert Path.cwd() == before
    if run is not None:
        failed = next(step for step in run.plan.steps if step.name not in run.done)
        assert text.startswith(failed.name)
        assert all(run.store.result(done.result.key) for done in run.done.values())
        assert run.done


def test_a_plugin_that_is_not_installed_is_named_at_its_place(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"mine\.yaml:9:.*no filter named `ill` is installed"):
        cook(tmp_path, "filter")


def test_a_plugin_that_is_gone_when_its_step_runs_is_named(site: Path, tmp_path: Path) -> None:
    install(site, "acme", FILTER)
    run = cook(tmp_path, "filter")
    forget("acme")
    shutil.rmtree(site / "acme-1.2.dist-info")
    importlib.invalidate_caches()
    run.registry = load_registry()
    with pytest.raises((RegistryError, WorkError), match="no filter named `ill` is installed"):
        run.run()
    assert list(run.done)
