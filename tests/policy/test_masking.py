"""What people and systems may read has neither sessions nor agent keys in it; call ids stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.policy.masking import HIDDEN, NameMask
from tests.rule_sets import AGENT_KEY, CALL_ID, KEYRING, SESSION, load

RULES = load(
    """
    service: [{ id: all, continue: true }]
    links:
      patient: { alias: "mp{session}", agent_alias: "hcp{agent}" }
      visit: { alias: "Visit-{session}-x", agent_alias: "va{call}" }
    """
)
MASK = NameMask(RULES.alias_forms)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(f"mp{SESSION}", f"mp{HIDDEN}", id="customer's alias"),
        pytest.param(f"hcp{AGENT_KEY}", f"hcp{HIDDEN}", id="agents' alias"),
        pytest.param(f"sip:MP{SESSION.upper()}@example.com", f"sip:MP{HIDDEN}@example.com", id="as a node sends it"),
        pytest.param(f"visit-{SESSION}-x", f"visit-{HIDDEN}-x", id="text on both sides"),
        pytest.param(f"/join/{SESSION}?x", f"/join/{HIDDEN}?x", id="path"),
        pytest.param(f"{AGENT_KEY} {CALL_ID}", f"{HIDDEN} {CALL_ID}", id="agent key beside the call id"),
        pytest.param(f"mp{CALL_ID}", f"mp{HIDDEN}", id="what stands where a session belongs"),
        pytest.param("mp" + "0" * 32, f"mp{HIDDEN}", id="made up"),
        pytest.param(f"sip:{CALL_ID}@example.com", f"sip:{CALL_ID}@example.com", id="call id"),
        pytest.param(f"va{CALL_ID}", f"va{CALL_ID}", id="agents' alias with the call id"),
        pytest.param("meet.alice", "meet.alice", id="other alias"),
    ],
)
def test_names_that_open_doors_are_hidden(text: str, shown: str) -> None:
    """Sessions and agent keys go, in aliases and alone; the call id and all else stays."""
    assert MASK.text(text, KEYRING) == shown


def test_an_alias_that_begins_like_another() -> None:
    """Of `adv{session}` and `adviser{agent}` each loses its whole name, and the text around it stays, whichever comes first."""
    for aliases in (
        'alias: "adv{session}", agent_alias: "adviser{agent}"',
        'alias: "adviser{session}", agent_alias: "adv{agent}"',
    ):
        forms = load(f"service: [{{ id: all, continue: true }}]\nlinks: {{ patient: {{ {aliases} }} }}").alias_forms
        for before, name in (("adv", SESSION), ("adviser", AGENT_KEY), ("Adviser", SESSION), ("adv", AGENT_KEY)):
            assert NameMask(forms).text(f"sip:{before}{name}@x", KEYRING) == f"sip:{before}{HIDDEN}@x"


def test_every_text_of_a_value_is_masked() -> None:
    """Lists, mappings and their names too; numbers and the rest are what they were."""
    value = {"a": [f"mp{SESSION}", 1, None], f"hcp{AGENT_KEY}": {"b": (SESSION, True)}, "call": CALL_ID}
    assert MASK.fields(value, KEYRING) == {
        "a": [f"mp{HIDDEN}", 1, None],
        f"hcp{HIDDEN}": {"b": [HIDDEN, True]},
        "call": CALL_ID,
    }


@given(before=st.text('-_.:/@ ="é\n', max_size=5), after=st.text('-_.:/@ ="é\n', max_size=5))
def test_a_planted_name_is_found_whatever_stands_around_it(before: str, after: str) -> None:
    """No punctuation, space or letter of another alphabet keeps a name from being found."""
    for text in (f"{before}mp{SESSION}{after}", f"{before}{SESSION}{after}", f"{before}hcp{AGENT_KEY}{after}"):
        shown = MASK.text(text, KEYRING)
        assert SESSION not in shown
        assert AGENT_KEY not in shown
        assert shown.startswith(before)
        assert shown.endswith(after)


_AROUND = st.text("-. mha0é\N{LATIN SMALL LETTER LONG S}\N{KELVIN SIGN}\N{LATIN SMALL LETTER DOTLESS I}", max_size=20)
_LIKE_NAMES = st.sampled_from(
    [SESSION, SESSION[1:], f"mp{SESSION}", f"hcp{AGENT_KEY}", CALL_ID, CALL_ID.upper(), "0" * 32]
)


@given(before=_AROUND, name=_LIKE_NAMES, after=_AROUND)
def test_a_text_is_masked_as_it_is_in_a_longer_one(before: str, name: str, after: str) -> None:
    """What is seen of a short text at a glance, that no name has room in it, is so."""
    text, rest = before + name + after, " -" * 40
    assert MASK.text(text + rest, KEYRING) == MASK.text(text, KEYRING) + rest
