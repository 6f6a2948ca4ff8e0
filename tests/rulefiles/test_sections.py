"""What the sections that rules refer to become, and what is said about those that cannot be."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from policy_server.pexip.request_types import RequestType
from policy_server.policy.appointments import WINDOW_LIMIT, Window
from policy_server.policy.directory import DirectoryEntry
from policy_server.policy.link_aliases import Entrance
from policy_server.policy.links import DEFAULT_TTL, TTL
from policy_server.policy.names import Keyring, Role
from policy_server.policy.ruleset import Ruleset
from tests.rulefiles.faults import Fault, check, each_fault, load, picture

STARTS_AT = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
REJECT = "service: [ { id: all, redirect: elsewhere } ]\n"


@each_fault("sections")
def test_sections_give_exactly_these_problems(fault: Fault) -> None:
    """Every fault of a section is told in these words."""
    check(fault)


def loaded(text: str) -> Ruleset:
    """Load rules without problems."""
    found = load(text + REJECT, pictures={"a/desk.jpg": picture()})
    assert [str(problem) for problem in found.problems] == []
    assert found.ruleset is not None
    return found.ruleset


def test_domains_count_without_case() -> None:
    """Domains of all files are ours, in lower case."""
    assert loaded("domains: [Video.Example.com, example.org]\n").domains == {"video.example.com", "example.org"}


def test_a_contact_is_described_by_its_alias_unless_it_says_otherwise() -> None:
    """Only the alias of a contact is needed."""
    directory = loaded(
        "directory: [ { alias: desk }, { alias: hall, description: Hall, username: ada, avatar: a/desk.jpg } ]\n"
    ).directory
    assert directory.entries == (DirectoryEntry("desk", "desk"), DirectoryEntry("hall", "Hall", "ada", "a/desk.jpg"))
    assert directory.ignore_local is False


def test_a_directory_can_leave_out_what_pexip_finds() -> None:
    """``ignore_local`` stands beside the entries, which then have a key of their own."""
    directory = loaded("directory: { ignore_local: true, entries: [ { alias: desk } ] }\n").directory
    assert directory.ignore_local is True
    assert [entry.alias for entry in directory.entries] == ["desk"]


def test_only_pictures_that_are_named_are_kept() -> None:
    """A rule set holds the pictures of its directory and no others."""
    ruleset = loaded("directory: [ { alias: desk, avatar: a/desk.jpg } ]\n")
    assert list(ruleset.pictures) == ["a/desk.jpg"]
    assert loaded("").pictures == {}


def test_a_link_type_makes_and_recognises_aliases() -> None:
    """The name of the call is found in the customer's and in the agents' alias, whatever their case, and nowhere else."""
    link = loaded('links: { patient: { alias: "mp.{session}", agent_alias: "hcp{agent}" } }\n').links["patient"]
    name = "a2" * 16
    assert link.ttl == DEFAULT_TTL
    assert link.url is None
    assert [(form.type, form.entrance, form.role) for form in link.forms] == [
        ("patient", Entrance.CUSTOMER, Role.SESSION),
        ("patient", Entrance.AGENT, Role.AGENT),
    ]
    for alias in (f"mp.{name}", f"hcp{name}", f"MP.{name}"):
        assert [found for form in link.forms if (found := form.name_in(alias.lower()))] == [name]
    for alias in (f"mpx{name}", f"mp.{name}a", f"xmp.{name}", "mp.", f"mp.{name[1:]}_", f"mp.{name[1:]}\u0661"):
        assert not any(form.name_in(alias) for form in link.forms)


@given(st.integers(TTL.shortest, TTL.longest))
def test_every_allowed_ttl_can_be_written(seconds: int) -> None:
    """A link type lives as long as it says."""
    link = loaded(f'links: {{ patient: {{ alias: "mp{{session}}", ttl: {seconds}s }} }}\n').links["patient"]
    assert link.ttl == seconds


@given(st.integers(0, WINDOW_LIMIT - 60), st.data())
def test_every_allowed_window_can_be_written(before: int, data: st.DataObject) -> None:
    """The door of an appointment is open as long before and after its time as its type says, to the minute."""
    after = data.draw(st.integers(60, WINDOW_LIMIT - before))
    text = f'links: {{ l: {{ alias: "mp{{session}}", window: {{ before: {before}s, after: {after}s }} }} }}\n'
    window = loaded(text).links["l"].window
    assert window == Window(before, after)
    opens_at, expires_at = window.around(STARTS_AT)
    call = Keyring(b"a key for the windows of these tests").sign("l", expires_at, b"1234", opens_at)
    # A name has minutes, and of a long window quarters of an hour.
    minute, step = timedelta(minutes=1), timedelta(minutes=1 if before + after < 34 * 3600 else 16)
    assert expires_at <= call.expires_at < expires_at + minute
    assert call.opens_at is not None
    assert timedelta(0) <= timedelta(seconds=-before) - (call.opens_at - STARTS_AT) < step


def test_a_window_opens_at_the_time_itself_unless_it_says_otherwise() -> None:
    """``before`` may be left out; a link type without a window has none."""
    links = loaded('links: { a: { alias: "a{session}", window: { after: 1h } }, b: { alias: "b{session}" } }\n').links
    assert (links["a"].window, links["b"].window) == (Window(0, 3600), None)


def test_a_calendar_is_open_when_it_says() -> None:
    """Hours, days and closed dates are read in the calendar's own time zone."""
    found = load(
        """
        calendars:
          hours:
            timezone: America/Chicago
            open: { mon-fri: ["08:00-12:00", 13:00-18:00], sat: 22:00-02:00 }
            closed: [2026-12-25, "2027-01-01"]
        service:
          - { id: opened, when: { open: hours }, reject: x }
        """
    )
    assert found.problems == ()
    assert found.ruleset is not None
    (condition,) = found.ruleset.lists[RequestType.SERVICE].rules[0].conditions
    (calendar,) = condition.calendars
    monday = datetime(2026, 11, 23, tzinfo=ZoneInfo("America/Chicago"))
    opened = [hour for hour in range(7 * 24) if calendar.is_open(monday + timedelta(hours=hour))]
    working = [24 * day + hour for day in range(5) for hour in (*range(8, 12), *range(13, 18))]
    assert opened == [*working, *range(5 * 24 + 22, 5 * 24 + 26)]
    assert not calendar.is_open(datetime(2026, 12, 25, 9, tzinfo=ZoneInfo("America/Chicago")))
