"""The audit log: who was given what, apart from the decision log, and nothing that opens a door."""

import json
import stat
from pathlib import Path

from policy_server.web.api_keys import ApiKeys
from policy_server.web.audit import AuditLog
from tests.servers import SECRET_KEY, InProcess
from tests.web.samples import KIOSK_PASSWORD, NOW, sample_folder

KEY = "k3y-of_the.booking~system"


def test_links_and_refusals_are_written_down(tmp_path: Path) -> None:
    """Each has a line of JSON in a file of the service's user alone, without keys and sessions."""
    folder, path = sample_folder(tmp_path / "rules"), tmp_path / "audit.jsonl"
    keys = ApiKeys({"booking": KEY})
    environment = {"KIOSK_PASSWORD": KIOSK_PASSWORD}
    with InProcess(folder, environment=environment, audit_log=path, api_keys=keys) as server:
        server.request("GET", "/policy/v1/service/configuration", authorization="Basic d3Jvbmc6d3Jvbmc=")
        server.request("GET", "/api/v1/links/x", authorization="Bearer wrong-planted-key")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["event"], line["door"], line["address"]) for line in lines] == [
        ("access.refused", "policy", "127.0.0.1"),
        ("access.refused", "api", "127.0.0.1"),
    ]
    assert all("time" in line for line in lines)
    assert "planted" not in path.read_text()
    assert SECRET_KEY not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_was_moved_away_is_made_again(tmp_path: Path) -> None:
    """Whoever rotates logs need tell nobody; what cannot be written is counted, and nobody waits."""
    path = tmp_path / "audit.jsonl"
    audit = AuditLog(path, lambda: NOW)
    audit.put("link.made", by="booking", call="a" * 32)
    audit.stop()
    path.rename(tmp_path / "audit.1")
    audit.put("link.read", by="booking", call="")
    audit.stop()
    (line,) = path.read_text().splitlines()
    assert json.loads(line) == {"time": NOW.isoformat(timespec="milliseconds"), "event": "link.read", "by": "booking"}
    path.unlink()
    path.mkdir()
    audit.put("link.read", by="booking")
    audit.stop()
    assert audit.dropped == 1
