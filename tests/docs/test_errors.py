"""The problems that developers can get are in the tables of their pages."""

import re

import pytest

from tests.docs.pages import AGENT_APP, CUSTOMER_APP, ROOT, Page, code


@pytest.mark.parametrize(
    ("page", "head", "modules"),
    [
        (
            CUSTOMER_APP,
            "error of a link |",
            ("web/links.py", "web/conferences.py", "web/systems.py", "web/admission.py", "web/refusals.py"),
        ),
        (
            AGENT_APP,
            "error of a lookup |",
            (
                "web/agents.py",
                "web/admission.py",
                "web/streams.py",
                "web/refusals.py",
                "web/cors.py",
                "web/routing.py:unset",
            ),
        ),
    ],
    ids=["links", "agents"],
)
def test_errors_are_those_of_the_code(page: Page, head: str, modules: tuple[str, ...]) -> None:
    """Every problem that developers can get is in the table with its status, and no other is."""
    problem = re.compile(r"(?:ProblemResponse|agent_problem)\(\s*(\d+),\s*\"([a-z-]+)\"")
    found = set()
    for module in modules:
        path, _, function = module.partition(":")
        source = (ROOT / "policy_server" / path).read_text(encoding="utf-8")
        start = source.index(f"def {function}") if function else 0
        end = source.find("\n\n\n", start) if function else len(source)
        found |= {(kind, status) for status, kind in problem.findall(source[start:end])}
    documented = {(kind, status) for kinds, status, _ in page.rows(head) for kind in code(kinds)}
    assert documented == found
