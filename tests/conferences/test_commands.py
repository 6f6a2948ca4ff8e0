"""The commands about links and conferences, on both databases."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.commands import printed_json, put_rules, run
from tests.conferences.samples import Place
from tests.servers import SECRET_KEY


def test_a_link_from_beginning_to_end(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that a command makes is what the others find in the database and revoke there."""
    put_rules(tmp_path)
    monkeypatch.chdir(tmp_path)
    environment = {"POLICY_SECRET_KEY": SECRET_KEY, "POLICY_DATABASE_URL": place.url}
    begin = datetime.now(UTC)
    options = ("--name", "Ada L", "--attribute", "language=es", "--json")
    made = printed_json(run("link", "create", "visit", *options, environment=environment))
    inspected = printed_json(run("link", "inspect", made["alias"], "--json", environment=environment))
    assert (inspected["state"], inspected["name"], inspected["attributes"]) == ("valid", "Ada L", {"language": "es"})
    assert run("link", "revoke", made["agent_alias"], environment=environment).exit_code == 0
    assert run("link", "revoke", made["agent_alias"], environment=environment).exit_code == 1
    shown = printed_json(run("conference", "show", made["call"], "--json", environment=environment))
    assert [line["kind"] for line in shown["timeline"]] == ["link.created", "link.revoked"]
    assert (shown["customer"]["name"], shown["attributes"]) == ("Ada L", {"language": "es"})
    assert datetime.fromisoformat(shown["revoked_at"]) >= begin.replace(microsecond=0)
