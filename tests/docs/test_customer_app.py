"""The page for developers who make links: fields, errors, pages of their own, attributes."""

import asyncio
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from runpy import run_path
from shutil import copytree
from typing import Final, get_type_hints

import pytest
from standardwebhooks import WebhookVerificationError

from policy_server.conferences.link_requests import FIELDS
from policy_server.conferences.verdict import Code, Verdict
from policy_server.conferences.webhook_messages import Event, WebhookCall, WebhookMessage
from policy_server.outbound.receivers import Receiver
from policy_server.outbound.webhooks import Refused, Sender, Taken
from policy_server.rulefiles.pages import LAYOUT, PAGES
from policy_server.rulefiles.store import load_folder
from policy_server.simulator.genesys import StandIn
from policy_server.web.pages import shipped_pages
from tests.docs.pages import CUSTOMER_APP, HTML, code
from tests.docs.shapes import field_paths
from tests.docs.site import SETTINGS, Site
from tests.outbound.receivers import KEY, OTHER_KEY, receiving
from tests.servers import real_server

PAGE: Final = CUSTOMER_APP


def test_fields_of_a_link_are_those_of_the_code() -> None:
    """What may be sent for a link is what the code knows."""
    assert [code(name)[0] for name, _ in PAGE.rows("field of a link |")] == list(FIELDS)


def test_every_field_of_the_answer_is_explained() -> None:
    """The table has every field of a link and of its conference, and no other."""
    documented = [name for names, _ in PAGE.rows("field of the answer |") for name in code(names)]
    assert sorted(documented) == sorted([*field_paths("LinkWithConference"), "conference"])


def test_messages_about_calls_are_those_of_the_code() -> None:
    """Every event and every field of a message is explained, and the one that is shown is such a message."""
    assert {code(name)[0] for name, _ in PAGE.rows("event of a call |")} == set(Event)
    documented = [name for names, _ in PAGE.rows("field of a message |") for name in code(names)]
    assert sorted(documented) == sorted(
        [*(get_type_hints(WebhookMessage).keys() - {"data"}), *get_type_hints(WebhookCall)]
    )
    (shown,) = [json.loads(block.text) for block in PAGE.blocks if block.note == "is sent by a server"]
    assert shown.keys() == get_type_hints(WebhookMessage).keys()
    assert list(shown["data"]) == list(get_type_hints(WebhookCall))
    assert list(shown["data"]["verdict"]) == list(get_type_hints(Verdict))
    assert shown["type"] in set(Event)
    assert shown["data"]["verdict"]["code"] in set(Code)


def test_a_message_is_read_as_the_page_says(tmp_path: Path) -> None:
    """The Python of the page takes a message that was sent to it, knows its copy, and refuses what is not signed so."""
    (block,) = [block for block in PAGE.blocks if block.language == "python"]
    (shown,) = [block.text for block in PAGE.blocks if block.note == "is sent by a server"]
    program = tmp_path / "receiver.py"
    program.write_text(block.text, encoding="utf-8")
    receive = run_path(str(program))["receive"]

    async def send(url: str, key: bytes) -> Taken | Refused:
        sender = Sender(Receiver("crm", url, (key,)))
        try:
            return await sender.send("msg_1", shown, datetime.now(UTC))
        finally:
            await sender.close()

    with receiving() as site:
        for key in (KEY, KEY, OTHER_KEY):
            asyncio.run(send(site.url, key))
    first, second, foreign = site.got
    assert receive(first.body, dict(first.headers)).startswith("Ada L: call.ended, An agent joined after 16 s")
    assert receive(second.body, dict(second.headers)) == "a copy"
    with pytest.raises(WebhookVerificationError):
        receive(foreign.body, dict(foreign.headers))


def test_placeholders_of_pages_are_those_of_the_code() -> None:
    """Every placeholder that a page or the layout may have is named, and no other."""
    assert set(re.findall(r"`\$([a-z_]+)`", PAGE.text)) == LAYOUT.union(*PAGES.values())


def test_pages_of_its_own_are_shown_to_the_customer(folder: Path) -> None:
    """The templates of the README stand in for the shipped ones, and every page is in its table."""
    names = [name for names, _ in PAGE.rows("template |") for name in code(names)]
    assert {name.partition(".")[0] for name in names} == {*PAGES, "dates", "layout"}
    loaded, _ = load_folder(folder / "languages", datetime.now(UTC))
    assert loaded.ruleset is not None
    pages = shipped_pages().with_own(loaded.ruleset.links["patient"].templates)
    for block in HTML:
        page, language, _ = Path(block.file).name.split(".")
        heading = re.findall(r"<h1>(.*)</h1>", block.text)[0]
        assert heading in pages.render(page, language, datetime.now(UTC)).html
        assert heading not in shipped_pages().render(page, language, datetime.now(UTC)).html


@pytest.mark.slow
def test_attributes_of_a_link_choose_the_trunk(folder: Path, tmp_path: Path) -> None:
    """A link made for a Spanish speaker leads to a room that dials the Spanish number, through a real server."""
    copytree(folder / "languages", tmp_path / "rules")
    with real_server(tmp_path, environment=SETTINGS) as running:
        site = Site(running, StandIn(), SETTINGS)
        numbers = {}
        for language in ("es", "en"):
            made = site.make_link(type="patient", attributes={"language": language})
            (leg,) = site.ask_service(made["alias"])["result"]["automatic_participants"]
            numbers[language] = leg["remote_alias"]
    assert numbers == {"es": "99+13129998046", "en": "99+13129998045"}
