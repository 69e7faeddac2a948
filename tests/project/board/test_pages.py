"""What the pages of a board show, and that nothing in a store or a folder acts in them."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest

from khichdi.project.board.guard import POLICY

from .conftest import RECIPE, Project

EVIL = "\"'></textarea></script><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[2J\u202e"


class Elements(HTMLParser):
    """Collects the names of elements and of their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def check_harmless(page: str) -> None:
    """Refuse a page with a script of its own, a picture, a handler, or a foreign address."""
    for tag, attributes in Elements(page).found:
        assert tag not in ("img", "iframe", "style", "base", "object")
        if tag == "script":
            assert str(attributes.get("src", "")).startswith("/assets/"), attributes
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("href", "src", "action", "hx-get", "hx-post", "formaction"):
            assert re.match(r"/(?!/)|#", attributes.get(name) or "/"), attributes
    assert "\x1b" not in page


def test_an_empty_store_says_how_to_begin(project: Project) -> None:
    page = project.client().get("/").text
    assert "No runs yet." in page
    assert "recipe run quickstart.yaml" in page


def test_runs_are_listed_with_status_figures_and_hashes(project: Project) -> None:
    run = project.run()
    page = project.client().get("/").text
    assert f'href="/runs/{run.name}"' in page
    assert run.recipe_hash[7:15] in page
    assert run.result_hash[7:15] in page
    assert "1 run<" in page.replace("\n", "")
    assert "No run fits." in project.client().get("/?q=nothing").text
    check_harmless(page)


def test_a_run_is_shown_with_its_steps_its_report_and_an_audit(project: Project) -> None:
    run = project.run()
    client = project.client()
    page = client.get(f"/runs/{run.name}").text
    assert run.result_hash in page
    assert "data/one/filter/max-words" in page
    assert "14 → 10 rows" in page or "14 → 9 rows" in page
    check_harmless(page)
    report = client.get(f"/runs/{run.name}/report")
    assert report.status_code == 200
    policy = report.headers["content-security-policy"]
    assert "script-src 'sha256-" in policy
    assert policy.endswith("frame-ancestors 'none'")
    part = client.post(f"/runs/{run.name}/audit", data={}, headers={"hx-request": "true"})
    assert 'class="identical">identical' in part.text
    assert "<html" not in part.text
    whole = client.post(f"/runs/{run.name}/audit", data={}).text
    assert "<html" in whole
    assert 'class="identical">identical' in whole


def test_an_audit_finds_what_was_changed_in_a_run(project: Project) -> None:
    run = project.run()
    for path in (project.store / "artifacts").rglob("*.arrow"):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-9] + b"forged!!!")
    part = project.client().post(f"/runs/{run.name}/audit", data={}).text
    assert "diverged" in part


@pytest.mark.parametrize(
    "name",
    ["none", "%2e%2e", "..%2f..%2fetc", "a%00b", "latest", "2026", "%2fetc"],
)
def test_a_run_is_found_by_its_whole_name_alone(project: Project, name: str) -> None:
    project.run()
    for part in ("", "/report", "/live", "/row"):
        answer = project.client().get(f"/runs/{name}{part}")
        assert answer.status_code == 404, answer.text


def test_runs_are_compared(project: Project) -> None:
    one = project.run().name
    two = project.run("data.one.filters[max-words].below=5").name
    client = project.client()
    page = client.get(f"/compare?run={one}&run={two}").text
    assert "data.one.filters[max-words].below" in page
    check_harmless(page)
    assert client.get(f"/compare/report?run={one}&run={two}").status_code == 200
    for few in ("", f"?run={one}", f"?run={one}&run={one}"):
        answer = client.get(f"/compare{few}")
        assert answer.status_code == 400
        assert "choose 2 to 6" in answer.text
    assert client.get(f"/compare?run={one}&run=..").status_code == 404


def test_new_runs_are_announced(project: Project) -> None:
    client = project.client()
    assert "new run" not in client.get("/news?seen=0").text
    project.run()
    assert "1 new run:" in client.get("/news?seen=0").text
    assert "new run" not in client.get("/news?seen=1").text


def test_tags_are_added_and_removed_on_the_page_of_a_run(project: Project) -> None:
    run = project.run()
    client = project.client(write=True)
    address = f"/runs/{run.name}/tags"
    assert client.post(address, data={"add": "best"}).headers["location"] == f"/runs/{run.name}"
    assert 'aria-label="Remove tag best"' in client.get(f"/runs/{run.name}").text
    assert 'href="/?tag=best"' in project.client().get("/?tag=best").text
    assert client.post(address, data={"add": EVIL}).status_code == 400
    client.post(address, data={"remove": "best"})
    assert "Remove tag" not in client.get(f"/runs/{run.name}").text
    assert client.post("/runs/none/tags", data={"add": "x"}).status_code == 404


# ---- unfinished runs --------------------------------------------------------------------------


def journal(project: Project, name: str, *events: dict[str, object]) -> Path:
    folder = project.store / "runs" / name
    folder.mkdir(parents=True)
    start = {
        "event": "start", "at": 1, "recipe": EVIL, "recipe_hash": EVIL, "started": EVIL,
        "steps": [{"name": EVIL, "kind": "runtime", "plugin": EVIL}],
    }  # fmt: skip
    lines = [start, {"event": "started", "at": 2, "step": EVIL}, *events]
    (folder / "journal.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return folder


def progress(done: int) -> dict[str, object]:
    note = f"loss {5 - done / 4:.3f} {EVIL}"
    return {
        "event": "progress", "at": 2 + done, "step": EVIL, "done": done, "total": 10,
        "unit": EVIL, "rate": 7.0, "note": note,
    }  # fmt: skip


def test_an_interrupted_and_a_failed_run_say_where_and_why(project: Project) -> None:
    events = [progress(done) for done in range(1, 6)]
    failed = {"event": "stop", "at": 9, "status": "failed", "message": EVIL, "hint": EVIL}
    journal(project, "2026-07-01-1200Z-a", *events)
    journal(project, "2026-07-01-1201Z-b", *events, failed)
    (project.store / "runs" / "2026-07-01-1202Z-c").mkdir()
    client = project.client()
    for name, words in (
        ("a", "It was interrupted in"),
        ("b", "It failed in"),
        ("c", "did not finish, and says no more"),
    ):
        number = "abc".index(name)
        address = f"/runs/2026-07-01-120{number}Z-{name}"
        page = client.get(address).text
        assert words in page
        check_harmless(page)
        assert client.get(f"{address}/live").status_code == 286
        assert client.get(f"{address}/report").status_code == 404
    page = client.get("/").text
    assert page.count("&lt;img src=x onerror=alert(2)&gt;") >= 2
    check_harmless(page)


# ---- hostile values ---------------------------------------------------------------------------


def test_a_hostile_record_and_a_hostile_file_name_are_text(project: Project) -> None:
    run = project.run()
    path = run.folder / "record.json"
    record = json.loads(path.read_text())
    other = project.store / "runs" / "2026-07-01-1200Z-<img src=x onerror=alert(3)>&\"'"
    other.mkdir()
    hostile = {**record, "recipe": EVIL, "started": EVIL, "settings": [EVIL], "recipe_hash": EVIL}
    hostile["metrics"] = {EVIL: 1.0, f"{EVIL}_before": 2.0}
    (other / "record.json").write_text(json.dumps(hostile))
    name = f"<script>alert(1)<_script>\"'{'x' * 9}.yaml"
    (project.folder / name).write_text(RECIPE.replace("a small one", "</ul><script>"))
    client = project.client(write=True)
    pages = [client.get("/").text, client.get("/recipes").text, client.get("/diff").text]
    assert "&lt;img src=x onerror=alert(3)&gt;" in pages[0]
    for link in re.findall(r'href="(/(?:runs|recipes)/[^"]*)"', "".join(pages)):
        pages.append(client.get(link).text)
    pages.append(client.get("/", params={"q": EVIL, "sort": EVIL, "tag": EVIL}).text)
    pages.append(client.get("/diff", params={"a": EVIL, "b": EVIL}).text)
    pages.append(client.get(f"/plugins/{quote(EVIL, safe='')}/x").text)
    pages.append(client.get(f"/nothing/{quote(EVIL)}").text)
    assert len(pages) > 12
    for page in pages:
        check_harmless(page)


def test_a_secret_in_a_recipe_is_not_shown(project: Project) -> None:
    token = "hf_" + "a" * 34
    (project.folder / "leaky.yaml").write_text(RECIPE + f"# {token}\n")
    client = project.client(write=True)
    answer = client.get("/recipes/own/leaky.yaml")
    assert answer.status_code == 400
    assert "leaky.yaml:10:3" in answer.text
    assert token not in answer.text + client.get("/recipes").text
    form = {"name": "leaky2.yaml", "text": f"# {token}\n", "digest": ""}
    assert client.post("/recipes/save", data=form).status_code == 400
    assert not (project.folder / "leaky2.yaml").exists()


def test_the_policy_lets_a_page_do_nothing_that_it_does_not_need() -> None:
    assert "unsafe" not in POLICY
    assert "*" not in POLICY
    assert "http" not in POLICY


# ---- plugins, differences ---------------------------------------------------------------------


def test_every_plugin_has_a_page_with_its_parameters(project: Project) -> None:
    client = project.client()
    links = re.findall(r'href="(/plugins/[^"]+)"', client.get("/plugins").text)
    assert len(links) > 50
    for link in ("/plugins/adapter/lora", "/plugins/source/files"):
        assert link in links
        page = client.get(link).text
        assert "Parameters" in page
        check_harmless(page)
    assert client.get("/plugins/adapter/none-such").status_code == 404


def test_recipes_and_runs_are_diffed_and_nothing_else_is_read(project: Project) -> None:
    run = project.run()
    (project.folder / "other.yaml").write_text(RECIPE.replace("below: 9", "below: 5"))
    outside = project.folder.parent / "outside.yaml"
    outside.write_text("secret-word: [")
    client = project.client()
    page = client.get("/diff", params={"a": "small.yaml", "b": "other.yaml"}).text
    assert "data.one.filters[max-words].below" in page
    assert "data/one/filter/max-words" in page
    page = client.get("/diff", params={"a": run.name, "b": "other.yaml"}).text
    assert "data.one.filters[max-words].below" in page
    assert "they ask for the same" in client.get("/diff?a=small.yaml&b=small.yaml").text
    for name in ("../outside.yaml", str(outside), "one.jsonl", "..", "/etc/passwd", "HEAD:x.yaml"):
        answer = client.get("/diff", params={"a": name, "b": "small.yaml"})
        assert answer.status_code == 404
        assert "secret-word" not in answer.text
