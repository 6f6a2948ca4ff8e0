"""Everything of one call on one machine, for ``demo`` and ``selftest``: the policy server and all that is around it.

It runs on loopback in this process, SIPp's processes apart, with secrets that nobody keeps. The policy server is the
real one.
"""

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self, TypeVar

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from policy_server.app import create_app, utc_now
from policy_server.cli.common import Unusable
from policy_server.cli.conferences import lookup_in
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.view import Conference
from policy_server.genesys.tenant import Tenant
from policy_server.lab.errors import LabError
from policy_server.lab.examples import agent_app, check_examples, customer_app
from policy_server.lab.genesys.calls import GenesysCalls
from policy_server.lab.genesys.cloud import GenesysCloud
from policy_server.lab.genesys.desktop import PLACE, agent_desktop
from policy_server.lab.management.doors import Administrator
from policy_server.lab.management.node import ManagementNode
from policy_server.lab.node.client_api import client_api
from policy_server.lab.node.dialling import RoutingRule
from policy_server.lab.node.infinity import Infinity
from policy_server.lab.node.rooms import Leg
from policy_server.lab.node.sink import SinkAddress
from policy_server.lab.serving import serving
from policy_server.lab.sip.page import trunk_page
from policy_server.lab.sip.sipp import SippError, SippMissingError
from policy_server.lab.sip.trunk import Answer, SipCall, SipTrunk
from policy_server.management.access import Access, Account
from policy_server.policy.names import Keyring
from policy_server.rulefiles.store import RuleStore
from policy_server.settings import Credentials, Settings
from policy_server.simulator.genesys import DIVISION, ORGANIZATION
from policy_server.web.api_keys import ApiKeys
from policy_server.web.decision_log import DecisionLog
from policy_server.web.events import PATH as EVENTS_PATH

ADP_DELAY: Final = 2.0
"""Seconds before the room dials; ten or more on a real node."""

TRUNK: Final = "clinic.byoc.example"
ROUTING_RULE: Final = RoutingRule(r"99(\+\d{11})", rf"\1@{TRUNK}")
LINK_TYPE: Final = "patient"
CLIENT_ID: Final = "7d0f6f0e-3b0a-4c52-9d57-1e8a2b4c6d80"
"""The widget's OAuth client."""

_RULES: Final = Path(__file__).with_name("rules") / "clinic.yaml"
_NODE_IN_RULES: Final = "http://node.example"

PORTS: Final = ("customer", "desktop", "trunk", "policy", "node", "genesys", "widget", "management")
"""Who listens, in the order of the ports when they are not free ones."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pages:
    """Where people open the call in a browser. The agent's desktop embeds the widget."""

    customer_url: str
    desktop_url: str
    widget_url: str


@dataclass(frozen=True, slots=True)
class Lab:
    """All that runs, while it does. URLs have no slash at their end.

    ``logs`` is the folder for what SIPp sent and received, and for the decisions of the policy server.
    """

    trunk: SipTrunk
    cloud: GenesysCloud
    calls: GenesysCalls
    node: Infinity
    management: ManagementNode
    settings: Settings
    rules: RuleStore
    policy_url: str
    node_url: str
    genesys_url: str
    trunk_url: str
    pages: Pages | None
    api_key: str = field(repr=False)
    logs: Path

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        logs: Path,
        *,
        answer: Answer = Answer.ANSWER,
        adp_delay: float = ADP_DELAY,
        examples: Path | None = None,
        first_port: int = 0,
    ) -> AsyncIterator[Self]:
        """Starts everything, and ends it with the block.

        ``examples`` is the folder of the applications of customer and agent; without it there are no pages for them.
        The ports are those of ``PORTS`` from ``first_port`` on, free ones for 0.
        Raises SippMissingError, SippError, LabError.
        """
        if examples is not None:
            check_examples(examples)
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="policy-server-")))

            def port_of(name: str) -> int:
                return first_port + PORTS.index(name) if first_port else 0

            @contextmanager
            def told_of_ports(name: str) -> Iterator[None]:
                try:
                    yield
                except OSError as error:
                    ports = f"ports {first_port} to {first_port + len(PORTS) - 1} are needed" if first_port else name
                    raise LabError(f"{ports}: {error.strerror or error}; name others with --port") from None

            async def serve(name: str, app: ASGIApp) -> str:
                with told_of_ports(name):
                    return await stack.enter_async_context(serving(app, port_of(name)))

            trunk = await stack.enter_async_context(SipTrunk(logs, answer))
            legs = await stack.enter_async_context(AsyncExitStack())
            cloud, node_app, widget_app = GenesysCloud(), _Later(), _Later()
            calls = GenesysCalls(cloud, trunk)
            genesys_url, node_url = await serve("genesys", cloud.app), await serve("node", node_app)
            widget_url = await serve("widget", widget_app) if examples is not None else ""
            api_key = secrets.token_urlsafe(32)
            pexip, events = (Credentials(name, secrets.token_urlsafe(18)) for name in ("pexip", "events"))
            account = Account("policy", secrets.token_urlsafe(18))
            management = ManagementNode(Administrator(account.username, account.password), port=port_of("management"))
            with told_of_ports("management"):
                await stack.enter_async_context(management)
            settings = Settings(
                rules=_write_rules(folder, node_url),
                pexip=pexip,
                secret_key=secrets.token_urlsafe(32),
                api_keys=ApiKeys({"lab": api_key}),
                database_url=f"sqlite:///{folder}/policy.db",
                events=events,
                node=node_url.removeprefix("http://"),
                tenant=Tenant(genesys_url, ORGANIZATION, frozenset({DIVISION})),
                widget_origins=(widget_url,) if widget_url else (),
                agent_binding="required",
                management=Access(management.url, account),
            )
            rules = RuleStore(settings.rules, utc_now, {})
            decisions = stack.enter_context((logs / "decisions.log").open("ab", buffering=0))
            policy_url = await serve("policy", create_app(settings, rules, DecisionLog("text", decisions.write)))
            node = Infinity(
                policy_url,
                (pexip.username, pexip.password),
                client=await stack.enter_async_context(httpx.AsyncClient(trust_env=False)),
                dial=partial(_dial, legs, trunk, logs),
                event_sink=SinkAddress(policy_url + EVENTS_PATH, events.username, events.password),
                routing_rules=(ROUTING_RULE,),
                adp_delay=adp_delay,
            )
            node_app.app = client_api(await stack.enter_async_context(node))
            management.oversee(node)
            trunk_url = await serve("trunk", trunk_page(trunk))
            pages = None
            if examples is not None:
                config = {
                    "genesysLogin": genesys_url,
                    "genesysApi": genesys_url,
                    "clientId": CLIENT_ID,
                    "policyServer": policy_url,
                    "pexipNode": node_url,
                }
                widget_app.app = agent_app(examples, config)
                cloud.sign_in.register(CLIENT_ID, f"{widget_url}/agent/")
                desktop = agent_desktop(calls, f"{widget_url}/agent/?conversationid={PLACE}")
                customer = customer_app(examples, policy_url, api_key, LINK_TYPE)
                pages = Pages(await serve("customer", customer), await serve("desktop", desktop), widget_url)
            urls = (policy_url, node_url, genesys_url, trunk_url)
            yield cls(trunk, cloud, calls, node, management, settings, rules, *urls, pages, api_key, logs)

    async def look_up(self, call: str) -> Conference | None:
        """What the policy server's database knows of a call, timeline included, as an agent would be told it."""
        keyring = Keyring.from_text(self.settings.secret_key or "")
        async with ConferenceStore(self.settings.database_url) as store:
            lookup = lookup_in(store, self.settings, self.rules.ruleset, keyring)
            found = await lookup.look_up(lookup.subject_of(call))
        return None if found is None else found.answer


def run_until_stopped(work: Coroutine[Any, Any, T]) -> T | None:
    """Runs what needs the lab; SIGINT and SIGTERM cancel it, and then the result is ``None``.

    What keeps the lab from starting ends the program.
    """

    async def cancelled_by_signals() -> T:
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        if task is not None:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, task.cancel)
        return await work

    try:
        return asyncio.run(cancelled_by_signals())
    except asyncio.CancelledError:
        return None
    except (SippMissingError, SippError, LabError) as error:
        raise Unusable(str(error)) from None


class _Later:
    """An application whose address must be known before it can be made."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on. Before the application is there only its lifespan comes, and it has none."""
        if self.app is not None:
            await self.app(scope, receive, send)


async def _dial(legs: AsyncExitStack, trunk: SipTrunk, logs: Path, uri: str, **further: Any) -> Leg:
    return await legs.enter_async_context(await SipCall.place(uri, proxy=trunk.address, folder=logs, **further))


def _write_rules(folder: Path, node_url: str) -> Path:
    rules = folder / "rules"
    rules.mkdir()
    text = _RULES.read_text(encoding="utf-8").replace(_NODE_IN_RULES, node_url)
    (rules / _RULES.name).write_text(text, encoding="utf-8")
    return rules
