"""Links between pages lead somewhere."""

import re

import pytest

from tests.docs.pages import ROOT, Page, page

LINKED = [
    page(str(path.relative_to(ROOT)))
    for pattern in ("*.md", "rules/**/*.md", "examples/*/*.md", "examples/rules/**/*.md", "policy_server/**/*.md")
    for path in sorted(ROOT.glob(pattern))
]


@pytest.mark.parametrize("here", LINKED, ids=lambda page: page.name)
def test_links_lead_somewhere(here: Page) -> None:
    """Files and headings that a page links to exist."""
    folder = (ROOT / here.name).parent
    for target in re.findall(r"\]\(([^)\s]+)\)", here.text):
        if target.startswith("https://"):
            continue
        path, _, heading = target.partition("#")
        there = (folder / path).resolve() if path else ROOT / here.name
        assert there.exists(), target
        if heading:
            assert heading in page(str(there.relative_to(ROOT))).headings, target


@pytest.mark.parametrize("here", LINKED, ids=lambda page: page.name)
def test_contents_list_every_chapter(here: Page) -> None:
    """Contents, where a page has them, list its chapters in order."""
    if "**Contents:**" not in here.text:
        return
    contents = re.findall(r"\]\(#([^)]+)\)", here.text[here.text.index("**Contents:**") :].partition("\n## ")[0])
    prose = re.sub(r"^( *)```.*?^\1```$", "", here.text, flags=re.MULTILINE | re.DOTALL)
    chapters = Page("", "\n".join(re.findall(r"^## .+$", prose, re.MULTILINE)))
    assert contents == list(chapters.headings)


def test_pictures_are_shown() -> None:
    """Every picture is on some page, each time with words for who does not see it."""
    shown = {
        (ROOT / here.name).parent.joinpath(target).resolve(): alt
        for here in LINKED
        for alt, target in re.findall(r"!\[([^]]*)\]\(([^)\s]+)\)", here.text)
    }
    assert set(shown) >= set((ROOT / "examples" / "screenshots").glob("*.png"))
    assert all(len(alt) > 20 for alt in shown.values())
