"""The page for developers who make links: fields, errors, pages of their own, attributes."""

import re
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree
from typing import Final

import pytest

from policy_server.conferences.link_requests import FIELDS
from policy_server.rulefiles.pages import LAYOUT, PAGES
from policy_server.rulefiles.store import load_folder
from policy_server.simulator.genesys import StandIn
from policy_server.web.pages import shipped_pages
from tests.docs.pages import CUSTOMER_APP, HTML, code
from tests.docs.shapes import field_paths
from tests.docs.site import SETTINGS, Site
from tests.servers import real_server

PAGE: Final = CUSTOMER_APP


def test_fields_of_a_link_are_those_of_the_code() -> None:
    """What may be sent for a link is what the code knows."""
    assert [code(name)[0] for name, _ in PAGE.rows("field of a link |")] == list(FIELDS)


def test_every_field_of_the_answer_is_explained() -> None:
    """The table has every field of a link and of its conference, and no other."""
    documented = [name for names, _ in PAGE.rows("field of the answer |") for name in code(names)]
    assert sorted(documented) == sorted([*field_paths("LinkWithConference"), "conference"])


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
