"""The files for operators are good: the programs that read them say so, and the metrics that they name exist."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from policy_server.settings import read_settings
from tests.docs.pages import DEPLOY, ROOT, blocks, code
from tests.docs.site import samples_of_work
from tests.servers import RealServer

FOLDER: Final = ROOT / "examples/deploy"
UNIT: Final = (FOLDER / "policy-server.service").read_text(encoding="utf-8")
DASHBOARD: Final[dict[str, Any]] = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))
ALERTS: Final[list[dict[str, Any]]] = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
PANELS: Final = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SHOWN: Final = [target["expr"] for panel in PANELS for target in panel["targets"]]


@pytest.mark.systemd
def test_systemd_reads_the_unit_without_a_word(tmp_path: Path) -> None:
    """No key of the unit is unknown to systemd, and no value one that it does not take."""
    here = UNIT.replace("/opt/policy-server/.venv/bin/policy-server", sys.executable).replace("/opt/", f"{tmp_path}/")
    unit = tmp_path / "policy-server.service"
    unit.write_text(here, encoding="utf-8")
    command = ["systemd-analyze", "--man=no", "verify", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_the_settings_of_the_unit_are_good(tmp_path: Path) -> None:
    """With the secrets that the page makes, a server takes every setting of the unit."""
    (script,) = [block.text for block in blocks("sh") if block.note == "makes secrets"]
    subprocess.run(["bash", "-e"], input=script, text=True, cwd=tmp_path, check=True)
    settings = dict(re.findall(r"^Environment=(\w+)=(.*)$", UNIT, re.MULTILINE))
    handed = dict(re.findall(r"^LoadCredential=(\S+):/etc/policy-server/(.*)$", UNIT, re.MULTILINE))
    for name, value in settings.items():
        if value.startswith("%d/"):
            file = tmp_path / handed[value.removeprefix("%d/")]
            assert file.stat().st_mode & 0o077 == 0
            settings[name] = str(file)
    read, warnings = read_settings(settings)
    assert warnings == ()
    assert read.pexip
    assert read.events
    assert read.secret_key
    assert len(read.api_keys) == 1


@pytest.mark.prometheus
def test_prometheus_reads_its_files() -> None:
    """Configuration and alert rules are what Prometheus takes, and the alerts are about the job that is configured."""
    subprocess.run(["promtool", "check", "config", FOLDER / "prometheus.yaml"], check=True)
    configured = yaml.safe_load((FOLDER / "prometheus.yaml").read_text(encoding="utf-8"))
    assert configured["rule_files"] == ["alerts.yaml"]
    jobs = {job["job_name"] for job in configured["scrape_configs"]}
    assert {job for rule in ALERTS for job in re.findall(r'job="([^"]*)"', rule["expr"])} <= jobs


TROUBLE: Final = {
    "PolicyServerDown": {'up{job="policy-server"}': "0"},
    "PolicyAnswersFail": {'policy_answers_total{question="service",outcome="error",rule=""}': "0+1x30"},
    "PolicyAnswersSlow": {
        'policy_answer_seconds_bucket{question="service",le="0.25"}': "0+9x30",
        'policy_answer_seconds_bucket{question="service",le="5.0"}': "0+10x30",
        'policy_answer_seconds_bucket{question="service",le="+Inf"}': "0+10x30",
    },
    "PolicyNodesRefused": {'policy_unauthorized_total{node="10.44.1.1"}': "0+1x30"},
    "PolicyRulesRefused": {"policy_rules_refused": "1"},
    "PolicyDatabaseAway": {"policy_records_waiting": "3"},
    "PolicyRecordsLost": {"policy_records_dropped": "0+1x30"},
    "PolicyRoomsNotHeld": {"policy_rooms_unheld": "0+1x30"},
    "PolicyEventsUnreadable": {"policy_events_unreadable": "0+1x30"},
    "PolicyNodeClockOff": {"policy_node_clock_difference_seconds": "120"},
    "PolicyManagementNodeAway": {"policy_management_away": "1"},
    "PolicyUpstreamLeftAlone": {"policy_upstreams_left_alone": "1"},
    "PolicyUpstreamWrong": {'policy_forwarded_total{upstream="scheduler",outcome="wrong"}': "0+1x30"},
    "PolicyWebhooksFail": {
        'policy_webhooks_waiting{receiver="crm"}': "3",
        'policy_webhooks_sent{receiver="crm"}': "7",
        'policy_webhooks_failed{receiver="crm"}': "0+1x30",
    },
    "PolicyWebhooksDead": {'policy_webhooks_dead{receiver="crm"}': "0+1x30"},
    "PolicyCustomersWait": {"policy_customers_waiting_seconds": "200"},
    "PolicyCallsUnwatched": {'policy_actions_late_seconds{kind="assurance"}': "90"},
    "PolicyActionsFail": {"policy_actions_failed": "0+1x30"},
    "PolicyTrunkFails": {
        'policy_legs_total{trunk="clinic",outcome="busy"}': "0+1x30",
        'policy_legs_total{trunk="clinic",outcome="answered"}': "0+0.5x30",
    },
    "PolicyCallsFail": {
        'policy_calls_last_hour{verdict="leg_busy"}': "6",
        'policy_calls_last_hour{verdict="answered"}': "12",
        'policy_calls_last_hour{verdict="not_joined"}': "50",
    },
    "PolicyEventsSilent": {"policy_events_silent": "1"},
    "PolicyGenesysAway": {"policy_genesys_away": "1"},
    "PolicyAssuranceRefused": {"policy_assurance_refusals": "0+1x30"},
    "PolicyManagementHeldBack": {"policy_management_put_off": "0+1x30"},
    "PolicyRequestsPutOff": {"policy_requests_put_off": "0+1x30"},
    "PolicyCallersRefused": {'policy_refused_total{door="agents"}': "0+20x30"},
    "PolicyLogLost": {"policy_audit_lines_dropped": "0+1x30"},
}
"""Samples, minute by minute, for which each alert is there."""
QUIET: Final = {
    'up{job="policy-server"}': "1",
    'policy_answers_total{question="service",outcome="serve",rule="customer"}': "0+60x30",
    'policy_answer_seconds_bucket{question="service",le="0.01"}': "0+60x30",
    'policy_answer_seconds_bucket{question="service",le="+Inf"}': "0+60x30",
    'policy_webhooks_waiting{receiver="crm"}': "1",
    'policy_webhooks_sent{receiver="crm"}': "0+3x30",
    'policy_webhooks_failed{receiver="crm"}': "0+1x30",
    'policy_actions_late_seconds{kind="assurance"}': "4",
    'policy_legs_total{trunk="clinic",outcome="busy"}': "0+1x30",
    'policy_legs_total{trunk="clinic",outcome="answered"}': "0+9x30",
    'policy_calls_last_hour{verdict="leg_busy"}': "6",
    'policy_calls_last_hour{verdict="answered"}': "60",
    'policy_refused_total{door="agents"}': "0+1x30",
    "policy_database_away": "0",
    **{name: "0" for samples in TROUBLE.values() for name in samples if "{" not in name},
}


@pytest.mark.prometheus
def test_alerts_are_there_in_trouble_and_only_then(tmp_path: Path) -> None:
    """For each alert there is a trouble in which it alone comes within half an hour; none comes on a quiet day."""
    assert set(TROUBLE) == {rule["alert"] for rule in ALERTS}
    tests = [
        {
            "interval": "1m",
            "input_series": [
                {"series": name, "values": values if "x" in values else f"{values}+0x30"}
                for name, values in samples.items()
            ],
            "promql_expr_test": [
                {
                    "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": "30m",
                    "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1}] if alert else [],
                }
            ],
        }
        for alert, samples in [*TROUBLE.items(), ("PolicyDatabaseAway", {"policy_database_away": "1"}), ("", QUIET)]
    ]
    file = tmp_path / "tests.json"
    file.write_text(json.dumps({"rule_files": [str(FOLDER / "alerts.yaml")], "tests": tests}), encoding="utf-8")
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    """Whoever is woken reads a sentence about what is wrong, and one about what to do."""
    for rule in ALERTS:
        assert {"summary", "description"} == set(rule["annotations"]), rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning"}


@pytest.mark.prometheus
def test_expressions_of_the_dashboard_can_be_read(tmp_path: Path) -> None:
    """Every expression of a panel is one of PromQL, once Grafana has put an interval into it."""
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(SHOWN)
    ]
    file = tmp_path / "panels.json"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    subprocess.run(["promtool", "check", "rules", file], check=True)


@pytest.mark.parametrize("expression", [*(rule["expr"] for rule in ALERTS), *SHOWN])
def test_every_metric_that_is_named_exists(expression: str, server: RealServer) -> None:
    """Alerts and panels ask for samples that a server gives, by labels that these have."""
    with server.client() as client:
        client.get("/policy/v1/service/configuration")
        client.get("/policy/v1/service/configuration", auth=("nobody", "wrong"))
        text = samples_of_work() + client.get("/metrics").text
    samples = dict(re.findall(r"^(\w+)(?:\{(.*)\})? ", text, re.MULTILINE))
    names = set(re.findall(r"\bpolicy_\w+", expression))
    assert names <= set(samples)
    labels = {label for name in names for label in re.findall(r"(\w+)=", samples[name])} | {"instance"}
    asked = set(re.findall(r"(\w+)=[~\"]", expression)) - {"job"}
    asked |= {label for names in re.findall(r"by \(([^)]*)\)", expression) for label in names.split(", ")}
    assert not names or asked <= labels


def test_the_dashboard_shows_every_metric() -> None:
    """What a server counts is on the dashboard, and the dashboard shows nothing else."""
    documented = {code(name)[0] for name, _, _ in DEPLOY.rows("metric |")}
    shown = {re.sub(r"_bucket$", "", name) for expression in SHOWN for name in re.findall(r"\bpolicy_\w+", expression)}
    assert shown == documented


def test_grafanas_own_library_reads_the_whole_dashboard() -> None:
    """Read into the types of Grafana's schema and written again nothing is lost: no key is one that Grafana does not know."""
    models = pytest.importorskip("grafana_foundation_sdk.models.dashboard")
    encoder = pytest.importorskip("grafana_foundation_sdk.cog.encoder").JSONEncoder()
    pytest.importorskip("grafana_foundation_sdk.cog.plugins").register_default_plugins()
    assert lost(DASHBOARD, json.loads(encoder.encode(models.Dashboard.from_json(DASHBOARD)))) == []
    spoilt = {**DASHBOARD, "panels": [{**PANELS[0], "titel": "Rules"}]}
    assert lost(spoilt, json.loads(encoder.encode(models.Dashboard.from_json(spoilt)))) == ["/panels/0/titel"]


def lost(before: Any, after: Any, path: str = "") -> list[str]:
    """Where one value has what another has not, or has otherwise."""
    if isinstance(before, dict) and isinstance(after, dict):
        inner = ((f"{path}/{key}", value, after.get(key)) for key, value in before.items())
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        inner = ((f"{path}/{number}", *pair) for number, pair in enumerate(zip(before, after, strict=True)))
    else:
        return [] if before == after else [path]
    return [found for where, one, other in inner for found in lost(one, other, where)]


def test_panels_have_their_place() -> None:
    """Each panel has its own number and place, below the row that it belongs to, and its data source is chosen at the import."""
    assert {"uid", "title", "schemaVersion", "panels", "templating", "time"} <= set(DASHBOARD)
    assert [(each["name"], each["type"]) for each in DASHBOARD["templating"]["list"]] == [("datasource", "datasource")]
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells), panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    heights = [panel["gridPos"]["y"] for panel in DASHBOARD["panels"]]
    assert heights == sorted(heights)
    assert DASHBOARD["panels"][0]["type"] == "row"
    for panel in PANELS:
        assert panel["type"] in {"stat", "timeseries"}
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_the_site_of_nginx_names_the_ports_that_the_page_names() -> None:
    """What the page says to start is what the site passes requests on to."""
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    site = (FOLDER / "nginx.conf").read_text(encoding="utf-8")
    found = re.search(r"`serve --port (\d+) --public-port (\d+)`", page)
    assert found is not None
    assert set(re.findall(r"proxy_pass http://127\.0\.0\.1:(\d+);", site)) == set(found.groups())
