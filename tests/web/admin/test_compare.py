"""The page "Compare rules": what is compared, what it takes, what it does not give away, and what it may cost."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from html import unescape
from typing import Any, Final

import httpx
import pytest

from policy_server.settings import Credentials
from policy_server.web.admin import compare_page
from policy_server.web.admin.compare_page import BODY_LIMIT
from tests.servers import InProcess, basic
from tests.web.samples import FIXED_PIN, KIOSK_PASSWORD, NOW, WRITTEN_PASSWORD, sample_folder, sample_link

pytestmark = pytest.mark.slow

ADMIN: Final = Credentials("admin", "the admin's password")
GOOD: Final = basic(ADMIN.username, ADMIN.password)
SECRET: Final = "a secret of the server that nobody may see"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """A server that was asked a dozen questions."""
    folder = sample_folder(tmp_path_factory.mktemp("compare") / "rules")
    with InProcess(folder, environment={"KIOSK_PASSWORD": KIOSK_PASSWORD}, admin=ADMIN, clock=lambda: NOW) as started:
        link = sample_link(started.rules.ruleset)
        for alias in ("moved", "room-a", "nobody", link.alias, link.agent_alias):
            for protocol in ("sip", "api"):
                started.ask("/service/configuration", local_alias=alias, protocol=protocol, call_direction="dial_in")
        started.ask("/registrations/kiosk-1@video.example.com", protocol="sip")
        started.ask("/participant/properties", local_alias=link.alias, remote_display_name="Guest Ada")
        yield started


def post(
    server: InProcess,
    text: str = "",
    uploads: Mapping[str, bytes] = {},
    headers: Mapping[str, str] = {},
    authorization: str = GOOD,
) -> httpx.Response:
    """The page after rules were pasted, or uploaded as browsers do."""
    files = [("text", (None, text.encode()))] + [("files", (name, data)) for name, data in uploads.items()]
    return server.request("POST", "/admin/compare", authorization=authorization, headers=headers, files=files)


def told(response: httpx.Response) -> dict[str, Any]:
    """What the page says: the verdict, problems, moves, differences with both answers."""
    assert response.status_code == 200, response.text

    def texts(pattern: str) -> list[str]:
        found = re.findall(pattern, response.text, re.DOTALL)
        return [" ".join(unescape(re.sub(r"<[^>]*>", " ", each)).split()) for each in found]

    return {
        "verdict": next(iter(texts(r'<p class="verdict">(.*?)</p>')), ""),
        "faults": texts(r'role="alert"><ul>(.*?)</ul>'),
        "problems": texts(r'<ul class="said">(.*?)</ul>'),
        "moves": texts(r"<tr><td>(.*?)</tr>"),
        "differences": texts(r"<li>\s*<p><strong>(.*?)</details>"),
        "unseen": texts(r"<summary>(\d+ could not[^<]*)</summary>"),
    }


def files_of(server: InProcess) -> dict[str, bytes]:
    """The folder of the rules that run, as one uploads it."""
    folder = server.settings.rules
    return {f"my rules/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_rules_answer_the_same(server: InProcess) -> None:
    """The folder of the rules that run, uploaded, changes nothing; a password of the environment is no difference."""
    found = told(post(server, uploads=files_of(server)))
    assert (found["verdict"], found["faults"], found["differences"]) == (
        "0 of 12 questions would be answered differently.",
        [],
        [],
    )


def test_what_would_be_answered_differently(server: InProcess) -> None:
    """How many, what becomes of them, and each with both answers; one changed file is tried with the others."""
    files = files_of(server)
    name = next(name for name, data in files.items() if b"id: moved" in data)
    changed = files[name].decode().replace("redirect: elsewhere@video.example.com", "reject: Moved away")
    found = told(post(server, f"# file: {name.removeprefix('my rules/')}\r\n{changed}", files))
    assert found["verdict"] == "2 of 12 questions would be answered differently."
    assert found["moves"] == ["2 redirect by rule 'moved' reject by rule 'moved'"]
    assert len(found["differences"]) == 2
    assert "Then redirect by rule moved These rules reject by rule moved" in found["differences"][0]
    assert '"new_alias": "elsewhere@video.example.com"' in found["differences"][0]
    assert '"reason": "Moved away"' in found["differences"][0]


def test_nothing_comes_into_force(server: InProcess) -> None:
    """The rules that run, and their files, are what they were."""
    revision, before = server.rules.ruleset.revision, files_of(server)
    post(server, "service: [{ id: all, reject: No }]")
    server.rules.reload()
    assert (server.rules.ruleset.revision, files_of(server)) == (revision, before)
    assert server.ask("/service/configuration", local_alias="moved")["rule"] == "moved"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("service: [{ id: a, when: { locl_alias: x }, reject: No }]", "pasted.yaml:1:28: error: rule 'a':"),
        ("# file: 10-a.yaml\n\nservice:\n  - { id: a, rejct: No }", "10-a.yaml:3:14: error: rule 'a': "),
        ("service: [", "pasted.yaml:1:"),
        ("service: []", "error: there are no rules in these files"),
        (
            "tables: { q: tables/q.csv }\nservice: [{ id: a, when: { table: { q: '{local_alias}' } }, continue: true }]",
            "tables/q.csv",
        ),
    ],
    ids=["key", "file", "syntax", "empty", "table"],
)
def test_what_is_wrong_is_said_as_check_says_it(server: InProcess, text: str, problem: str) -> None:
    """File, line and remedy of each problem; of a table that is not here that it is missing, and how it can be given."""
    page = post(server, text)
    assert problem in told(page)["problems"][0]
    assert "These rules cannot be used" in page.text
    assert "# file: tables/queues.csv" in page.text


def test_a_table_is_pasted_too(server: InProcess) -> None:
    """What rules read beside YAML can stand in the same text."""
    text = (
        "tables: { q: tables/q.csv }\n"
        "service: [{ id: a, when: { table: { q: '{local_alias}' } }, reject: '{q.why}' }]\n"
        "# file: tables/q.csv\nalias,why\nmoved,Gone\n"
    )
    assert any(
        move.endswith("redirect by rule 'moved' reject by rule 'a'") for move in told(post(server, text))["moves"]
    )


@pytest.mark.parametrize("variable", ["THE_SECRET", "POLICY_SECRET_KEY", "KIOSK_PASSWORD"])
def test_no_variable_of_the_server_is_read(server: InProcess, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """Whatever rules name in `password_env`: nothing of it is on the page, nor whether it is there."""
    monkeypatch.setenv("THE_SECRET", SECRET)
    text = (
        "registrations: [{ id: kiosks, when: { alias: '.*' }, allow: { username: x, password_env: %s } }]\n"
        "upstreams: { u: { url: 'https://u.example.com', username: u, password_env: %s } }\n"
        "service: [{ id: a, forward: u }]"
    )
    pages = [post(server, text % (variable, variable)), post(server, text % (("NOT_THERE",) * 2))]
    for page in pages:
        assert [
            secret for secret in (SECRET, KIOSK_PASSWORD, server.settings.secret_key or "") if secret in page.text
        ] == []
    if not variable.startswith("POLICY_"):
        assert told(pages[0])["differences"] == told(pages[1])["differences"]


def test_no_answer_shows_what_opens_a_door(server: InProcess) -> None:
    """PINs, passwords, sessions and agent keys are hidden in both answers."""
    link = sample_link(server.rules.ruleset)
    changed = {name: data.replace(b"service_tag: ", b"service_tag: other-") for name, data in files_of(server).items()}
    page = post(server, uploads=changed)
    assert len(told(page)["differences"]) >= 6
    shown = re.sub(r"<textarea.*?</textarea>", "", page.text, flags=re.DOTALL)
    hidden = (
        FIXED_PIN,
        WRITTEN_PASSWORD,
        link.call.session,
        link.call.agent,
        link.call.pins.host,
        link.call.pins.guest,
    )
    assert [secret for secret in hidden if secret in shown] == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"origin": "https://evil.example.com"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
    ],
    ids=["cross-site", "old-browser", "own"],
)
def test_other_sites_post_nothing(server: InProcess, headers: dict[str, str], status: int) -> None:
    """A page of another site cannot have the admin's browser work here, and nobody without the password can."""
    assert post(server, "x", headers=headers).status_code == status
    assert post(server, "x", headers=headers, authorization="").status_code == 401


@pytest.mark.parametrize(
    ("uploads", "fault"),
    [
        ({}, "there are no rules in the form"),
        ({"rules/../../etc/passwd": b"x"}, "a file is named as it lies in the rules folder"),
        ({"a\nb.yaml": b"x"}, "a file is named as it lies in the rules folder"),
        ({f"rules/{number}.yaml": b"" for number in range(501)}, "more than 500 files"),
        ({"rules/.git/config": b"x"}, "there are no rules in the form"),
    ],
    ids=["nothing", "climbs", "line", "many", "hidden"],
)
def test_strange_uploads(server: InProcess, uploads: dict[str, bytes], fault: str) -> None:
    """What is no rules folder is said to be none."""
    assert fault in told(post(server, uploads=uploads))["faults"][0]


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/x-www-form-urlencoded", b"text=x", 200),
        ("multipart/form-data", b"--x", 200),
        ("multipart/form-data; boundary=x", b"--x\r\nno head", 200),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\nno head\r\n--x--", 200),
        ("multipart/form-data; boundary=x", b"--x" + b"\r\n--x" * 1100 + b"--", 200),
        ("multipart/form-data; boundary=x", b"x" * (BODY_LIMIT + 1), 413),
    ],
    ids=["form", "boundary", "end", "head", "parts", "large"],
)
def test_strange_bodies(server: InProcess, content_type: str, body: bytes, status: int) -> None:
    """What no browser sends is answered with what is wrong."""
    response = server.request(
        "POST", "/admin/compare", authorization=GOOD, headers={"content-type": content_type}, content=body
    )
    assert response.status_code == status
    if status == 200:
        assert told(response)["faults"]


def test_what_takes_too_long_is_given_up(server: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison has a deadline, after which its process is gone and the page can be used again."""
    monkeypatch.setattr(compare_page, "DEADLINE", 0.01)
    assert "was given up" in told(post(server, uploads=files_of(server)))["faults"][0]
    monkeypatch.undo()
    assert told(post(server, uploads=files_of(server)))["verdict"]


def test_one_at_a_time(server: InProcess) -> None:
    """Who comes while another comparison is under way is told so; both are answered."""

    given = [("files", each) for each in files_of(server).items()]

    async def both() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=server.app, client=("127.0.0.1", 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://policy.example.com") as client:
            asked = [client.post("/admin/compare", files=given, headers={"authorization": GOOD}) for _ in range(2)]
            return list(await asyncio.gather(*asked))

    first, second = (told(response) for response in server.run(both()))
    assert first["verdict"]
    assert "another comparison is under way" in second["faults"][0]


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x]\n"
        + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(20)),
        "service: " + "[" * 200_000,
        "service: [{ id: a, when: { local_alias: '" + "(a|b)*" * 20_000 + "' }, reject: No }]",
        "service:\n"
        + "".join(f"  - {{ id: r-{n}, when: {{ local_alias: 'a{n}.*' }}, reject: No }}\n" for n in range(4_000)),
    ],
    ids=["laughs", "deep", "expression", "many"],
)
def test_hostile_rules_cost_their_own_process_alone(server: InProcess, text: str) -> None:
    """Whatever is pasted, the page says what is wrong, or compares it, and the next is answered."""
    found = told(post(server, text))
    assert found["problems"] or found["faults"] or found["verdict"]
    assert server.ask("/service/configuration", local_alias="moved")["rule"] == "moved"
