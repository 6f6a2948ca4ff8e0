"""Page templates: what a folder of them becomes, and what is wrong with one."""

from string import Template

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_server.policy.ruleset import NO_TEMPLATES, PageTemplates
from policy_server.rulefiles.document_text import MAX_PROBLEMS
from policy_server.rulefiles.pages import PAGES, TEMPLATE_BYTES, read_templates
from policy_server.rulefiles.reader import Report
from tests.rulefiles.faults import Fault, check, each_fault, load

RULES = """
service: [ { id: patient, reject: Closed } ]
links:
  patient: { alias: "a{session}", url: "https://pexip.example.com/{alias}", templates: pages }
  family: { alias: "b{session}", url: "https://pexip.example.com/{alias}", templates: ./pages/ }
  visitor: { alias: "c{session}", url: "https://pexip.example.com/{alias}", templates: pages/visitor }
  nobody: { alias: "d{session}", url: "https://pexip.example.com/{alias}" }
"""
DATES = b'{"weekdays": ["a","b","c","d","e","f","g"], "months": ["1","2","3","4","5","6","7","8","9","10","11","12"], '


@each_fault("pages")
def test_templates_give_exactly_these_problems(fault: Fault) -> None:
    """Every fault of a folder of templates, or of a file in it, is told in these words at its place."""
    check(fault)


def read(**files: bytes) -> tuple[PageTemplates, list[str]]:
    """Templates by name, dots written ``__``, with their problems."""
    report = Report()
    found = read_templates({name.replace("__", "."): data for name, data in files.items()}, "p", report)
    return found, [str(problem) for problem in report.in_order()]


def test_link_types_have_the_templates_of_their_folder() -> None:
    """Each has those of the folder it names and none of a folder below; those of one folder are one object."""
    templates = {
        "pages/closed.en.html": b"<h1>Shut</h1>",
        "pages/visitor/expired.fr.html": b"<h1>Fini</h1>",
        "elsewhere/closed.en.html": b"no template",
    }
    loaded = load(RULES, templates=templates)
    assert [str(problem) for problem in loaded.problems if "serves" not in problem.message] == []
    assert loaded.ruleset is not None
    links = loaded.ruleset.links
    assert list(links["patient"].templates.texts) == ["closed"]
    assert links["patient"].templates is links["family"].templates
    assert [(page, list(texts)) for page, texts in links["visitor"].templates.texts.items()] == [("expired", ["fr"])]
    assert links["nobody"].templates is NO_TEMPLATES


def test_a_folder_becomes_templates_by_page_and_language() -> None:
    """Layout, pages and dates; byte order marks go, and line ends are those that browsers reckon with."""
    found, problems = read(
        layout__html=b"\xef\xbb\xbf<html lang='$language'>\r\n$title\r$text",
        closed__de__html="<h1>Geschlossen</h1> $opening, für 5 $$".encode(),
        **{"closed__es-mx__html": b"<h1>Cerrado</h1>"},
        dates__de__json=DATES + b'"pattern": "$day. $month"}',
    )
    assert problems == []
    assert found.layout is not None
    assert found.layout.template == "<html lang='$language'>\n$title\n$text"
    assert {page: list(texts) for page, texts in found.texts.items()} == {"closed": ["de", "es-mx"]}
    assert found.texts["closed"]["de"].substitute(opening="x") == "<h1>Geschlossen</h1> x, für 5 $"
    assert (found.dates["de"].weekdays[6], found.dates["de"].months[11]) == ("g", "12")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param(
            b"<h1>x</h1>\nGe\xf6ffnet",
            "p/closed.de.html:2:3: error: the file is not UTF-8: byte 0xF6 at offset 13 is no part of any character; "
            "save the file as UTF-8 (it may be saved as Windows-1252 or Latin-1)",
            id="latin-1",
        ),
        pytest.param(
            "<h1>x</h1>".encode("utf-16"),
            "p/closed.de.html: error: the file is saved as UTF-16 or UTF-32 (Windows calls it 'Unicode'); save it as UTF-8",
            id="utf-16",
        ),
        pytest.param(
            b"<h1>x</h1>" + b" " * TEMPLATE_BYTES,
            "p/closed.de.html: error: the file is larger than 1 MiB; shorten it",
            id="too large",
        ),
    ],
)
def test_bytes_that_are_no_text_are_told(data: bytes, problem: str) -> None:
    """A file that is not UTF-8, or too large, is refused with what to do."""
    found, problems = read(closed__de__html=data)
    assert problems == [problem]
    assert found.texts == {}


def test_a_file_full_of_faults_is_told_in_part() -> None:
    """Nobody reads a hundred thousand problems of a style sheet that was saved under the name of a page."""
    data = b"<h1>x</h1>" + b"$x<p style='a'>" * 60_000
    _, problems = read(closed__en__html=data)
    assert len(problems) == 2 * MAX_PROBLEMS


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(PAGES)).map("{}.en.html".format), st.binary() | st.text().map(str.encode))
)
def test_any_bytes_give_templates_or_problems(files: dict[str, bytes]) -> None:
    """Whatever lies in the folder, reading it never fails, and every problem is one line."""
    report = Report()
    found = read_templates(files, "p", report)
    assert all(str(problem).isprintable() for problem in report.problems)
    assert report.failed or all(page.is_valid() for texts in found.texts.values() for page in texts.values())


mark_up = st.lists(
    st.sampled_from(
        ["<h1>x</h1>", "$opening", "$", "$$", "<", "<!", "<![", "x[", "]]>", "<a", " href='", ">", "\r", "${", "&#"]
    )
).map("".join)


@settings(deadline=None)
@given(mark_up)
def test_any_mark_up_gives_a_template_or_problems(text: str) -> None:
    """HTML that is none never makes the reading fail, and a page without problems can be filled."""
    found, problems = read(closed__en__html=text.encode())
    template = found.texts["closed"]["en"]
    assert isinstance(template, Template)
    if not problems:
        template.substitute(opening="", opening_iso="", place="")


def test_dates_may_be_indented_with_tabs() -> None:
    """JSON may have tabs where YAML may not."""
    found, problems = read(dates__de__json=DATES.replace(b" ", b"\n\t") + b'\n\t"pattern":\t"$day"\n}')
    assert (problems, list(found.dates)) == ([], ["de"])
