"""Who may ask what of a board, whatever page a browser has open."""

from __future__ import annotations

import pytest

from .conftest import Project

OWN = "http://127.0.0.1:8765"
TOKEN = "a-long-enough-token"
WRITES = [
    ("/runs/{run}/tags", {"add": "good"}),
    ("/recipes/save", {"name": "new.yaml", "text": "recipe: 1\n", "digest": ""}),
]
POSTS = [
    *WRITES,
    ("/runs/{run}/audit", {}),
    ("/recipes/check", {"name": "small.yaml", "text": "recipe: 1"}),
    ("/recipes/estimate", {"name": "small.yaml", "text": "recipe: 1"}),
    ("/sign-in", {"token": "x"}),
]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.1.7", ""])
def test_another_name_of_this_machine_is_refused(project: Project, host: str) -> None:
    answer = project.client().get("/", headers={"host": host})
    assert answer.status_code == 400
    assert "small" not in answer.text


@pytest.mark.parametrize("address", [one for one, _ in POSTS])
@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://127.0.0.1:8765", "http://127.0.0.1:8000", None],
)
def test_a_page_of_another_site_cannot_send_a_form(
    project: Project, address: str, origin: str | None
) -> None:
    client = project.client(write=True)
    del client.headers["origin"]
    headers = {"origin": origin} if origin else {}
    answer = client.post(address.format(run="any"), headers=headers, content=b"name=x")
    assert answer.status_code == 403
    assert "origin" in answer.text or "another site" in answer.text


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_reads_nothing_but_may_link_here(
    project: Project, site: str
) -> None:
    client = project.client()
    for destination in ("image", "empty", "iframe", "script"):
        headers = {
            "sec-fetch-site": site,
            "sec-fetch-mode": "no-cors",
            "sec-fetch-dest": destination,
        }
        assert client.get("/", headers=headers).status_code == 403
    framed = {"sec-fetch-site": site, "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}
    assert client.get("/", headers=framed).status_code == 403
    link = {**framed, "sec-fetch-dest": "document"}
    assert client.get("/", headers=link).status_code == 200


def test_every_answer_has_the_headers_and_none_opens_it_to_others(project: Project) -> None:
    client = project.client()
    for address in ("/", "/plugins", "/nothing", "/assets/board.js", "/recipes/own/none.yaml"):
        headers = client.get(address, headers={"origin": "http://evil.example"}).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert not [name for name in headers if name.startswith("access-control")]
    assert client.options("/", headers={"origin": OWN}).status_code == 405


@pytest.mark.parametrize(("address", "form"), WRITES)
def test_a_board_that_only_shows_says_why_it_does_not_write(
    project: Project, address: str, form: dict[str, str]
) -> None:
    run = project.run()
    before = sorted(path for path in project.folder.rglob("*") if path.name != "used")
    answer = project.client().post(address.format(run=run.name), data=form)
    assert answer.status_code == 403
    assert "recipe ui --write" in answer.text
    assert sorted(path for path in project.folder.rglob("*") if path.name != "used") == before


def test_reading_all_pages_writes_nothing(project: Project) -> None:
    run = project.run()
    project.run("data.one.filters[max-words].below=5")
    client = project.client()

    def state() -> dict[str, float]:
        return {str(p): p.stat().st_mtime_ns for p in project.folder.rglob("*") if p.is_file()}

    before = state()
    others = [one.name for one in (project.store / "runs").iterdir()]
    for address in (
        "/", "/?sort=seconds", f"/runs/{run.name}", f"/runs/{run.name}/report", "/recipes",
        "/recipes/own/small.yaml", "/diff?a=small.yaml&b=quickstart.yaml", "/plugins",
        f"/compare?run={others[0]}&run={others[1]}",
    ):  # fmt: skip
        assert client.get(address).status_code == 200, address
    assert client.post(f"/runs/{run.name}/audit", data={}).status_code == 200
    assert state() == before


# ---- the token --------------------------------------------------------------------------------

PAGE = {"accept": "text/html"}


def test_without_the_token_there_is_only_the_page_that_asks_for_it(project: Project) -> None:
    client = project.client(token=TOKEN)
    answer = client.get("/", headers=PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert "small" not in client.get("/sign-in").text
    assert client.get("/assets/board.css").status_code == 200
    for address in ("/", "/news", "/recipe.schema.json", "/runs/x", "/recipes"):
        assert client.get(address).status_code == 401
    assert client.get("/assets/../../pages.py").status_code in (401, 404)


def test_the_token_opens_the_board_by_a_form_and_a_cookie_or_by_a_header(project: Project) -> None:
    client = project.client(token=TOKEN)
    wrong = client.post("/sign-in", data={"token": TOKEN[:-1]})
    assert wrong.status_code == 401
    assert "set-cookie" not in wrong.headers
    signed = client.post("/sign-in", data={"token": TOKEN})
    cookie = signed.headers["set-cookie"]
    assert signed.status_code == 303
    assert TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert client.get("/", headers=PAGE).status_code == 200
    other = project.client(token=TOKEN)
    assert other.get("/", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    for wrong_header in (TOKEN, f"Bearer {TOKEN}x", "Bearer ", "Bearer é"):
        given = {"authorization": wrong_header.encode()}
        assert other.get("/", headers=given).status_code == 401
    for wrong_cookie in ("khichdi-board-8765=", "khichdi-board-8765=x; ;;=", "\x01"):
        assert other.get("/", headers={"cookie": wrong_cookie}).status_code == 401


def test_a_cookie_of_another_start_of_the_board_opens_nothing(project: Project) -> None:
    first = project.client(token=TOKEN)
    cookie = first.post("/sign-in", data={"token": TOKEN}).headers["set-cookie"].split(";")[0]
    second = project.client(token=TOKEN)
    assert second.get("/", headers={"cookie": cookie}).status_code == 401


# ---- limits -----------------------------------------------------------------------------------


def test_a_form_that_is_too_large_is_refused(project: Project) -> None:
    body = b"text=" + b"a" * (1 << 20)
    answer = project.client().post("/recipes/check", content=body)
    assert answer.status_code == 400
    assert "over 1,048,576 bytes" in answer.text


@pytest.mark.parametrize("body", [b"\xff\xfe", b"&" * 5000, b"=" * 300, b"place=99999999999999999"])
def test_no_form_is_a_fault(project: Project, body: bytes) -> None:
    answer = project.client().post("/recipes/check", content=body)
    assert answer.status_code in (200, 400)
