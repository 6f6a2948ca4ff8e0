"""What is not in force though somebody may think so: files that look like rules and are not read, rules that are gone.

An admin whose editor wrote `50-service.yaml.txt`, or who put a file into a subfolder, believes that its rules are in
force. Only names and first bytes are looked at here; the store has the disk.
"""

import re
from collections.abc import Iterator
from typing import Final

from policy_server.policy.ruleset import Ruleset
from policy_server.rulefiles.merge import SECTIONS
from policy_server.rulefiles.pages import TEMPLATE_ENDINGS
from policy_server.rulefiles.pictures import PICTURE_ENDINGS
from policy_server.rulefiles.problems import Place, Problem, Severity
from policy_server.rulefiles.rule_lists import RULE_SECTIONS
from policy_server.wording.values import shown

RULE_ENDING: Final = ".yaml"
BEGINNING_BYTES: Final = 16 * 1024
"""Of a file whose name says nothing, how much is looked at."""
MOST_GONE: Final = 20
"""Rules that are gone after a reload of which each is named."""

# `a.yml`, `a.YAML`, `a.yaml.txt`, `a.yaml~`, `a.yaml.bak`, `a.yaml (1)`, `a.yaml2`; not `.yamllint`.
_YAML_NAME: Final = re.compile(r"\.ya?ml(?![a-z])", re.IGNORECASE)
_BEGINS_AS_RULES: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:[ \t]*(?:#[^\r\n]*)?[\r\n]+|---[ \t]*[\r\n]+)*(?:%s)[ \t]*:(?:[\s{\[]|\Z)"
    % "|".join((*SECTIONS, "tests")).encode()
)
_AFTER_THE_STEM: Final = re.compile(r"[.~#]| \(| - |\Z")
_EDITOR_PREFIX: Final = "._#~"
_SWAP_FILE: Final = re.compile(r"^\..*\.sw[a-z]$|^\.#")
_OF_ANOTHER_KIND: Final = (*PICTURE_ENDINGS, *TEMPLATE_ENDINGS, ".csv", ".md")


def is_named_like_rules(name: str) -> bool:
    """Whether a file has the name of a rule file, or what editors, mail programs and people make of one."""
    return _YAML_NAME.search(name) is not None


def begins_like_rules(beginning: bytes) -> bool:
    """Whether a file of any name begins as rule files do, with a section, whatever comments are before it."""
    return _BEGINS_AS_RULES.match(beginning) is not None


def name_to_read(name: str) -> str:
    """The name under which such a file would be read."""
    stem = _YAML_NAME.split(name, maxsplit=1)[0] if is_named_like_rules(name) else name.rpartition(".")[0] or name
    return f"{stem.lstrip(_EDITOR_PREFIX) or 'rules'}{RULE_ENDING}"


def may_be(missing: str, name: str) -> bool:
    """Whether a file that is not read may be the rule file ``missing`` by another name (`50-service.txt`, `.bak`, `~`)."""
    missing, name = missing.lower(), name.lower()
    if _SWAP_FILE.match(name):
        return False
    if missing in name:
        return True
    stem, bare = missing.removesuffix(RULE_ENDING), name.lstrip(_EDITOR_PREFIX)
    if not bare.startswith(stem) or bare.endswith(_OF_ANOTHER_KIND):
        return False
    return _AFTER_THE_STEM.match(bare, len(stem)) is not None


def gone_rules(before: Ruleset, after: Ruleset, folder: str) -> tuple[Problem, ...]:
    """A warning that names the rules that are not there any more."""
    kept = set(_names(after))
    names = [name for name in _names(before) if name not in kept]
    if not names:
        return ()
    more = f" and {len(names) - MOST_GONE} more" if len(names) > MOST_GONE else ""
    listed = ", ".join(f"{shown(rule)} of {section}" for section, rule in names[:MOST_GONE]) + more
    message = f"rules that ran before this reload are gone: {listed}; put them back if that is not meant"
    return (Problem(Place(folder), Severity.WARNING, message),)


def _names(ruleset: Ruleset) -> Iterator[tuple[str, str]]:
    for section in RULE_SECTIONS:
        yield from ((section.name, rule.id) for rule in ruleset.lists[section.request].rules)
