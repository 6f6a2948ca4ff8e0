"""The page "Try a call": what it answers, what its URL may have in it, and from where it takes a question."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest

from policy_server.policy.links import CustomerLink
from policy_server.settings import Credentials
from policy_server.web.admin.endpoints import FORM_LIMIT
from policy_server.web.admin.question import INVALID, MOST_FIELDS
from tests.servers import ROOT, InProcess, basic
from tests.web.samples import FIXED_PIN, KIOSK_PASSWORD, NOW, WRITTEN_PASSWORD, sample_folder, sample_link

ADMIN: Final = Credentials("admin", "the admin's password")
GOOD: Final = basic(ADMIN.username, ADMIN.password)
ENVIRONMENT: Final = {"KIOSK_PASSWORD": KIOSK_PASSWORD}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """A server with an admin, on a Monday morning."""
    folder = sample_folder(tmp_path_factory.mktemp("try") / "rules")
    with InProcess(folder, environment=ENVIRONMENT, admin=ADMIN, clock=lambda: NOW) as started:
        yield started


@pytest.fixture(scope="module")
def link(server: InProcess) -> CustomerLink:
    """A link that is good for an hour."""
    return sample_link(server.rules.ruleset)


def get(server: InProcess, **parameters: str) -> httpx.Response:
    """The page of a question, or where it leads."""
    return server.request("GET", f"/admin/try?{urlencode(parameters)}", authorization=GOOD)


def post(server: InProcess, headers: dict[str, str] | None = None, **form: str) -> httpx.Response:
    """What becomes of a form."""
    return server.request("POST", "/admin/try", authorization=GOOD, form=form, headers=headers)


def led_to(response: httpx.Response) -> dict[str, str]:
    """The parameters of the URL at which a question is explained."""
    assert response.status_code == 303, response.text
    path, _, query = response.headers["location"].partition("?")
    assert path == "try"
    assert query.endswith("#result")
    return dict(parse_qsl(query.removesuffix("#result")))


def told(response: httpx.Response) -> dict[str, Any]:
    """What a page says: the verdict, the rows of rules, the answer, and faults."""
    assert response.status_code == 200, response.text

    def texts(pattern: str) -> list[str]:
        found = re.findall(pattern, response.text, re.DOTALL)
        return [" ".join(unescape(re.sub(r"<[^>]*>", " ", each)).split()) for each in found]

    answer = re.search(r"<pre[^>]*>(.*?)</pre>", response.text, re.DOTALL)
    return {
        "verdict": next(iter(texts(r'<p class="verdict">(.*?)</p>')), ""),
        "rows": texts(r'<tr class="\w+">(.*?)</tr>'),
        "answer": json.loads(unescape(answer[1])) if answer else None,
        "faults": texts(r'role="alert"><ul>(.*?)</ul>'),
        "notes": texts(r'<p class="warning">(.*?)</p>'),
    }


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/service/configuration", {"local_alias": "moved"}),
        ("/service/configuration", {"local_alias": "room-a"}),
        ("/service/configuration", {"local_alias": "nobody@elsewhere.example.com"}),
        ("/participant/properties", {"remote_display_name": "Guest Ada"}),
        ("/participant/location", {"remote_address": "10.20.1.2"}),
        ("/registrations/kiosk-1@video.example.com", {}),
    ],
    ids=["redirect", "room", "nobody", "participant", "location", "registration"],
)
def test_the_page_says_what_a_node_is_told(server: InProcess, path: str, fields: dict[str, str]) -> None:
    """Rule and answer are those of the policy endpoint, but for secrets, of which no more is seen than that there is one."""
    kinds = {
        "service": "service",
        "participant/p": "participant",
        "participant/l": "location",
        "registrations": "registration",
    }
    kind = next(kind for start, kind in kinds.items() if path.startswith(f"/{start}"))
    alias = {"alias": path.rpartition("/")[2]} if kind == "registration" else {}
    page = get(server, question=kind, **fields, **alias)
    live = server.ask(path, **fields)
    rule = live.pop("rule")
    del live["revision"], live["decision_id"]
    for secret in ("pin", "password"):
        if "result" in live and secret in live["result"]:
            live["result"][secret] = "****"
    assert told(page)["answer"] == live
    assert told(page)["verdict"].partition(" by ")[2].startswith(f"rule {rule} " if rule else "no rule")
    assert [secret for secret in (FIXED_PIN, KIOSK_PASSWORD, WRITTEN_PASSWORD) if secret in page.text] == []


def test_a_row_says_why_each_rule_missed(server: InProcess) -> None:
    """Every rule of the list is there, in order, with the condition that missed and what it saw."""
    rows = told(get(server, question="service", local_alias="moved"))["rows"]
    assert [row.split()[1] for row in rows] == [rule.id for rule in _service_rules(server)]
    assert rows[3].startswith("4 named miss local_alias : local_alias is 'moved'")
    assert rows[4] == "5 moved hit every condition holds"


def _service_rules(server: InProcess) -> tuple[Any, ...]:
    lists = server.rules.ruleset.lists
    return next(rules.rules for kind, rules in lists.items() if kind.value == "service")


@pytest.mark.parametrize(
    ("state", "at", "verdict"),
    [
        ("valid", "", "serve by rule customer"),
        ("expired", "", "reject by rule customer-refused"),
        ("invalid", "", "reject by rule customer-refused"),
        ("valid", "2026-11-22T10:00:00-06:00", "reject by rule customer-refused"),
        ("valid", "2026-11-24T10:00:00-06:00", "serve by rule customer"),
    ],
    ids=["valid", "expired", "invalid", "on-sunday", "tomorrow"],
)
def test_a_link_is_supposed(server: InProcess, state: str, at: str, verdict: str) -> None:
    """A link of a type, in a state, at a time: it is stored nowhere, and its session and agent key are not shown."""
    page = get(
        server,
        question="service",
        local_alias="{alias}",
        link_type="visit",
        link_state=state,
        **({"at": at} if at else {}),
    )
    assert told(page)["verdict"].startswith(verdict)
    text = page.text.replace("{alias}", "")
    assert re.findall(r"\b(?:mp|hcp)[a-z2-7]{32}", text) == []


def test_what_a_room_that_runs_keeps_is_said(server: InProcess) -> None:
    """A room that was served to a node is held on the page too, after closing time; and asking here holds no room."""
    link = sample_link(server.rules.ruleset, timedelta(hours=20), b"held")
    asked = {"question": "service", "local_alias": "mp{session}", "call": link.call.id}
    late = {"at": (NOW + timedelta(hours=12)).isoformat()}
    assert told(get(server, **asked))["verdict"].startswith("serve by rule customer")
    assert "is held" not in get(server, **asked).text
    assert told(get(server, **asked, **late))["verdict"].startswith("reject by rule customer-refused")
    server.ask("/service/configuration", local_alias=link.alias)
    assert "is held" in get(server, **asked).text


@pytest.mark.parametrize("where", ["url", "form", "pasted", "log"])
@pytest.mark.parametrize("door", ["customer", "agent"])
def test_no_url_has_a_name_that_opens_a_door(server: InProcess, link: CustomerLink, where: str, door: str) -> None:
    """Wherever an alias of a link is put in, its URL has the call id, and what is tried there is the same."""
    alias = link.alias if door == "customer" else link.agent_alias
    name = link.call.session if door == "customer" else link.call.agent
    typed = f"sip:{alias.upper()}@video.example.com"
    query = urlencode({"local_alias": typed, "protocol": "api"})
    if where == "url":
        response = get(server, question="service", local_alias=typed, protocol="api")
    elif where == "form":
        response = post(server, question="service", fields=f"local_alias={typed}\r\nprotocol=api\r\n")
    elif where == "pasted":
        response = post(server, pasted=f"https://p.example.com{ROOT}/service/configuration?{query}")
    else:
        server.get(f"{ROOT}/service/configuration?{query}")
        response = post(server, pasted=server.flush()[-1])
    found = led_to(response)
    assert name not in response.headers["location"].lower()
    assert found["call"] == link.call.id
    assert "{session}" in found["local_alias"] or "{agent}" in found["local_alias"] or where == "log"
    page = get(server, **found)
    assert told(page)["verdict"].startswith(f"serve by rule {door}")
    assert name not in page.text.lower()


@pytest.mark.parametrize(
    "alias",
    ["mp" + "b" * 32, "hcp" + "c" * 32, "d" * 32, "sip:MP" + "E" * 32 + "@video.example.com"],
    ids=["customer", "agent", "alone", "capitals"],
)
def test_what_looks_like_a_name_is_invalid(server: InProcess, alias: str) -> None:
    """A name that no key of ours signed may open a door elsewhere: the URL has another in its place, and the page says so."""
    found = led_to(get(server, question="service", local_alias=alias))
    assert found["local_alias"] == re.sub(r"([bcd])\1{31}|E{32}", "{invalid}", alias)
    assert "counts as invalid" in found["note"]
    page = get(server, **found)
    assert told(page)["notes"]
    assert INVALID not in page.text


def test_what_came_in_braces_is_no_placeholder(server: InProcess, link: CustomerLink) -> None:
    """A name that somebody chose stays what it is when their question is pasted, whatever the page takes for a link's."""
    for name in ("{call}", "{{call}}", "{alias} {other}"):
        query = urlencode(
            {"local_alias": link.alias, "remote_display_name": f"Guest {name}", "call_direction": "dial_in"}
        )
        found = led_to(post(server, pasted=f"{ROOT}/participant/properties?{query}"))
        assert told(get(server, **found))["answer"]["result"]["remote_display_name"] == f"Guest {name} of ours"


def test_a_question_that_the_endpoint_does_not_understand(server: InProcess) -> None:
    """A parameter that is there twice is said, even where one of them is empty, with what the node gets."""
    for query in ("local_alias=a&local_alias=", "local_alias=a&LOCAL_ALIAS=b"):
        page = told(post(server, pasted=f"{ROOT}/service/configuration?{query}"))
        assert "the question cannot be understood: " in page["faults"][0]
        assert '{"status":"failure","action":"continue"}' in page["faults"][0]


def test_more_parameters_than_are_looked_at(server: InProcess, link: CustomerLink) -> None:
    """The first are tried, with the link that they are about, and the reader is told."""
    query = urlencode(
        [("local_alias", link.alias), *(("idp_attribute_x", str(number)) for number in range(MOST_FIELDS))]
    )
    found = led_to(post(server, pasted=f"{ROOT}/service/configuration?{query}"))
    assert f"{MOST_FIELDS + 1} parameters, of which the first {MOST_FIELDS} are looked at" in found["note"]
    assert found["call"] == link.call.id


def test_a_passcode_is_left_out(server: InProcess) -> None:
    """What somebody typed as a passcode stands in no URL, and the reader is told."""
    found = led_to(get(server, question="service", local_alias="moved", third_party_passcode="4711"))
    assert "4711" not in str(found)
    assert found["note"].startswith("third_party_passcode is left out")


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"at": "tomorrow"}, "the time must be a moment with its offset"),
        ({"at": "9999-12-31T23:59:59+00:00"}, "the time must be a moment"),
        ({"link_type": "visitt"}, "did you mean 'visit'?"),
        ({"link_type": "visit", "link_state": "early"}, "the state of a link of type 'visit' must be"),
        ({"link_attribute": "language", "link_type": "visit"}, "an attribute is written NAME=VALUE but is 'language'"),
        ({"local_alias": "{alias}"}, "{alias} stands for a name of a link"),
        ({"local_alias": "x" * 20000}, "the question cannot be understood: the query has"),
    ],
    ids=["time", "far", "type", "state", "attribute", "no-link", "long"],
)
def test_what_is_wrong_is_said(server: InProcess, given: dict[str, str], fault: str) -> None:
    """A question that cannot be tried is there to be mended, with what is wrong and what would be right."""
    found = told(get(server, question="service", **given))
    assert fault in " ".join(found["faults"])
    assert found["answer"] is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site", "origin": "https://evil.example.com"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example.com"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "http://policy.example.com"}, 303),
        ({"origin": "http://policy.example.com"}, 303),
        ({}, 303),
    ],
    ids=["cross-site", "same-site", "old-browser", "sandboxed", "own", "own-of-old-browser", "no-browser"],
)
def test_other_sites_post_nothing(server: InProcess, headers: dict[str, str], status: int) -> None:
    """A page of another site cannot have the admin's browser post here."""
    assert post(server, headers, question="service", fields="local_alias=moved").status_code == status


@pytest.mark.parametrize(
    ("form", "status"),
    [({"pasted": "x" * (FORM_LIMIT + 1)}, 413), ({"pasted": "what is this"}, 200), ({"question": "nonsense"}, 200)],
    ids=["large", "no-question", "no-type"],
)
def test_strange_forms(server: InProcess, form: dict[str, str], status: int) -> None:
    """What cannot be understood is answered with what can be."""
    response = server.request("POST", "/admin/try", authorization=GOOD, form=form)
    assert response.status_code == status
    if status == 200:
        assert told(response)["faults"]


def test_other_bodies_are_refused(server: InProcess) -> None:
    """What is posted must be a form."""
    response = server.request("POST", "/admin/try", authorization=GOOD, headers={"content-type": "application/json"})
    assert response.status_code == 415


def test_presets_lead_to_answers(server: InProcess) -> None:
    """Each question to begin with can be tried as it is, and those of customer and agent come into the room."""
    page = server.request("GET", "/admin/try", authorization=GOOD).text
    found = {name: unescape(query) for query, name in re.findall(r'<a href="try\?([^"#]+)#result">([^<]+)</a>', page)}
    verdicts = {
        name: told(server.request("GET", f"/admin/try?{query}", authorization=GOOD))["verdict"]
        for name, query in found.items()
    }
    assert {name: verdict.partition(":")[0].strip() for name, verdict in verdicts.items()} == {
        "Customer in a browser": "serve by rule customer",
        "Agent in the widget": "serve by rule agent",
        "SIP room system": "continue by no rule",
        "Leg out of a room": "serve by rule customer",
        "Registration": "allow by rule kiosks",
    }
