"""The pages of the repository and what stands in them.

Conventions of a page:

- A block of YAML, HTML or JSON names the file it is, in a comment before it: ``<!-- file: tour/10-names.yaml -->``. The files of a
  folder are loaded together and must have no problems, unless the comment ends in ``, with problems``. A block that quotes a
  file of the repository says so in the same way, ``<!-- from: examples/rules/bank/20-hours.yaml -->``, and stands in it.
- A ``console`` block holds commands after ``$`` and their whole output, where ``…`` stands for anything in a line, and a line
  of it alone for any lines. A command goes on in the next line after a backslash. One that fails is followed by
  ``$ echo $?``. A comment before the block may say that it runs ``without settings``, that it ``asks a server`` (the one at
  port 8080 is then a real one, with a call of its own that its variables are about), or that it ``starts a server`` or
  ``backs up SQLite``, for which there are tests of their own, as for blocks of ``sh`` with a comment.
- A block of ``sh`` that goes ``before every command of this page`` is run before the commands of each ``console`` block.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_QUOTES: Final = "from: "


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, its text, the comment before it, and where it stands."""

    language: str
    text: str
    note: str
    page: str
    line: int

    @property
    def file(self) -> str:
        """The file that a block is."""
        return self.note.removeprefix("file: ").removesuffix(", with problems")

    @property
    def quoted(self) -> str:
        """The file of the repository that a block quotes, ``""`` for none."""
        return self.note.removeprefix(_QUOTES) if self.note.startswith(_QUOTES) else ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its path below the root of the repository, and its text."""

    name: str
    text: str

    @property
    def blocks(self) -> Iterator[Block]:
        """The fenced blocks, in order."""
        fence = re.compile(r"^(?: *<!-- ([^\n]+) -->\n)?( *)```(\w+)\n(.*?)^\2```$", re.MULTILINE | re.DOTALL)
        for match in fence.finditer(self.text):
            text = re.sub(f"^{match[2]}", "", match[4], flags=re.MULTILINE)
            line = self.text.count("\n", 0, match.start(3)) + 1
            yield Block(match[3], text, match[1] or "", self.name, line)

    @property
    def headings(self) -> Iterator[str]:
        """The headings as GitHub names them in links."""
        prose = re.sub(r"^( *)```.*?^\1```$", "", self.text, flags=re.MULTILINE | re.DOTALL)
        for heading in re.findall(r"^#+ (.+)$", prose, re.MULTILINE):
            yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")

    def rows(self, head: str) -> list[list[str]]:
        """The cells of the table whose head begins with this text."""
        found = re.search(rf"^ *\| {re.escape(head)}", self.text, re.MULTILINE)
        assert found is not None, f"{self.name} has no table with the head: {head}"
        lines = self.text[found.start() :].partition("\n\n")[0].strip("\n").split("\n")
        return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def page(name: str) -> Page:
    """The page at a path below the root."""
    return Page(name, (ROOT / name).read_text(encoding="utf-8"))


def code(text: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", text)


def blocks(language: str) -> list[Block]:
    """The blocks in a language, of every page that is executed."""
    return [block for page in PAGES for block in page.blocks if block.language == language]


START: Final = page("README.md")
RULES: Final = page("rules/README.md")
CUSTOMER_APP: Final = page("examples/customer-app/README.md")
AGENT_APP: Final = page("examples/agent-app/README.md")
DEPLOY: Final = page("examples/deploy/README.md")
PAGES: Final = (
    START,
    RULES,
    CUSTOMER_APP,
    AGENT_APP,
    DEPLOY,
    page("examples/requests/README.md"),
    page("examples/rules/bank/README.md"),
)
"""The pages that are executed."""
MAINTAINERS: Final = page("policy_server/README.md")
_WRITTEN: Final = [block for language in ("yaml", "html", "json", "csv") for block in blocks(language)]
QUOTES: Final = [block for block in _WRITTEN if block.quoted]
"""What stands in files of the repository."""
FILES: Final = [block for block in _WRITTEN if not block.quoted]
"""What pages give to whoever tries them."""
YAML: Final = [block for block in FILES if block.language == "yaml"]
HTML: Final = [block for block in FILES if block.language == "html"]
CONSOLE: Final = blocks("console")
