"""The example questions of ``examples/requests`` against a real server with the shipped rules."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree

import pytest

from tests.fuzz import ROOT, server
from tests.servers import clean_environment

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "examples" / "requests"
SETTINGS = {
    "POLICY_PEXIP_USERNAME": "pexip",
    "POLICY_PEXIP_PASSWORD": "of the example tests",
    "POLICY_SECRET_KEY": "the secret key of the example tests",
}
PROGRAMS = Path(sys.executable).parent
NUMBER = "99+13129998045"

Answer = dict[str, object]
Ask = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The settings of server and commands: they share a database."""
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    database = tmp_path_factory.mktemp("database") / "policy.db"
    return clean_environment(**SETTINGS, POLICY_DATABASE_URL=f"sqlite:///{database}", PATH=path)


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Ask]:
    """Runs an example against a server with the shipped rules, without their opening hours."""
    rules = copytree(ROOT / "rules", tmp_path_factory.mktemp("shipped") / "rules")
    text = (rules / "genesys.yaml").read_text(encoding="utf-8")
    always, changed = re.subn(r"^ +open: opening-hours\n", "", text, flags=re.MULTILINE)
    assert changed == 1
    (rules / "genesys.yaml").write_text(always, encoding="utf-8")
    with server(rules, environment) as (port, _):

        def run(script: str, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [EXAMPLES / script, *arguments],
                env=environment | {"SERVER": f"http://127.0.0.1:{port}"} | changes,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

        yield run


def _answer(done: subprocess.CompletedProcess[str]) -> Answer:
    assert (done.returncode, done.stderr) == (0, "")
    answer: Answer = json.loads(done.stdout)
    return answer


def _room(ask: Ask, script: str, argument: str) -> dict[str, object]:
    result = _answer(ask(script, argument))["result"]
    assert isinstance(result, dict)
    return result


@pytest.fixture(scope="module")
def link(environment: dict[str, str]) -> dict[str, str]:
    """A customer's link, made on the command line."""
    done = subprocess.run(
        [PROGRAMS / "policy-server", "link", "create", "visit", "--name", "Ada L", "--json"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    made: dict[str, str] = json.loads(done.stdout)
    return made


EXPECTED: dict[str, tuple[str | None, str | None]] = {
    "01-customer.sh": ("customer", "continue"),
    "02-agent.sh": ("agent", "continue"),
    "03-dial-out.sh": ("customer", "continue"),
    "04-participant.sh": ("customer", "continue"),
    "05-media-location.sh": (None, "continue"),
    "06-registration.sh": (None, "continue"),
    "07-directory.sh": ("directory", None),
    "08-unknown-alias.sh": (None, "continue"),
}


def test_every_example_is_expected_and_explained() -> None:
    """Each script has an expected outcome here and a row in the README, and can be run."""
    scripts = {path.name for path in EXAMPLES.glob("*.sh")}
    assert scripts == set(EXPECTED)
    explained = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in explained for name in scripts)
    assert all(os.access(EXAMPLES / name, os.X_OK) for name in scripts)


@pytest.mark.parametrize("script", EXPECTED)
def test_example_by_itself(script: str, ask: Ask) -> None:
    """An example without arguments gets the answer of the rule that it is about."""
    answer = _answer(ask(script))
    assert answer["status"] == "success"
    assert (answer["rule"], answer.get("action")) == EXPECTED[script]


def test_one_call(ask: Ask, link: dict[str, str]) -> None:
    """With the parts of one link, customer, agent and leg get one room, and the customer gets a leg to the number."""
    customer = _room(ask, "01-customer.sh", link["alias"])
    agent = _room(ask, "02-agent.sh", link["agent_alias"])
    leg = _room(ask, "03-dial-out.sh", link["call"])
    assert customer["name"] == link["call"]
    dialled = customer.pop("automatic_participants")
    assert isinstance(dialled, list)
    assert [entry["remote_alias"] for entry in dialled] == [NUMBER]
    assert agent == customer
    assert leg == customer | {"automatic_participants": dialled}
    assert f"&pin={customer['guest_pin']}&" in link["url"]


def test_answers_without_a_service(ask: Ask, link: dict[str, str]) -> None:
    """The customer joins as a guest; the directory is empty; what no rule knows has no result or an empty one."""
    assert _answer(ask("04-participant.sh", link["alias"]))["result"] == {"preauthenticated_role": "guest"}
    assert _answer(ask("07-directory.sh"))["result"] == []
    assert _answer(ask("06-registration.sh"))["result"] == {}
    assert "result" not in _answer(ask("08-unknown-alias.sh"))


def test_a_link_that_is_not_ours(ask: Ask) -> None:
    """A made-up alias is refused."""
    answer = _answer(ask("01-customer.sh", "mp" + "a" * 32))
    assert (answer["rule"], answer["action"]) == ("customer-refused", "reject")


def test_wrong_password_fails(ask: Ask) -> None:
    """A script that was not let in says so by its exit status, and names the variable when it is not set."""
    assert ask("08-unknown-alias.sh", POLICY_PEXIP_PASSWORD="wrong").returncode != 0
    unset = ask("08-unknown-alias.sh", POLICY_PEXIP_PASSWORD="")
    assert unset.returncode != 0
    assert "POLICY_PEXIP_PASSWORD" in unset.stderr
