"""The page of the lab on which somebody becomes a customer."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from policy_server.lab.examples import EXAMPLES, customer_app
from policy_server.lab.serving import serving
from policy_server.lab.wiring import LINK_TYPE

API_KEY = "key-of-the-customer-page"


class Organisation:
    """What the customer's page asks, in place of a policy server."""

    def __init__(self, status: int, body: object) -> None:
        self.asked: list[tuple[str, object]] = []
        self.answer = JSONResponse(body, status)
        self.app = Starlette(routes=[Route("/api/v1/links", self.make, methods=["POST"])])

    async def make(self, request: Request) -> Response:
        """Answers."""
        self.asked.append((request.headers["authorization"], await request.json()))
        return self.answer


def visit(organisation: Organisation, **form: str) -> httpx.Response:
    """Sends the form of the customer's page."""

    async def work() -> httpx.Response:
        async with serving(organisation.app) as url:
            return await submit(customer_app(EXAMPLES, url, API_KEY, LINK_TYPE), form)

    return asyncio.run(work())


async def submit(app: ASGIApp, form: dict[str, str]) -> httpx.Response:
    """The answer to a form."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="https://visits.example.com") as client:
        return await client.post("/", data=form)


def test_the_customer_page_makes_a_link() -> None:
    """Name and language go with the link, by the API key, of which the browser learns nothing."""
    url = "https://join.example.com/join/abc"
    organisation = Organisation(201, {"url": url})
    answer = visit(organisation, name=" Ada Ł ", language="no")
    assert (answer.status_code, answer.headers["location"]) == (303, url)
    wanted = {"type": "patient", "name": "Ada Ł", "attributes": {"language": "no"}}
    assert organisation.asked == [(f"Bearer {API_KEY}", wanted)]
    assert API_KEY not in str(answer.headers) + answer.text


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({"name": "  ", "language": "en"}, id="no name"),
        pytest.param({"name": "Ada L", "language": "tlh"}, id="another language"),
        pytest.param({"name": "A" * 5000, "language": "en"}, id="too long"),
        pytest.param({}, id="nothing"),
    ],
)
def test_the_customer_page_asks_again(form: dict[str, str]) -> None:
    """A form that is not filled in makes no link; the page says what is needed."""
    organisation = Organisation(201, {"url": "https://join.example.com/join/abc"})
    answer = visit(organisation, **form)
    assert answer.status_code == 400
    assert '<p role="alert">Please tell us your name.</p>' in answer.text
    assert organisation.asked == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(401, {"type": "unauthorized"}, id="wrong key"),
        pytest.param(503, {}, id="database away"),
        pytest.param(201, {"url": None}, id="a link type without a URL"),
        pytest.param(201, {}, id="no link at all"),
    ],
)
def test_the_customer_page_without_a_link(status: int, body: object) -> None:
    """Whatever the policy server says instead of a link, the customer is told in one sentence to try again."""
    answer = visit(Organisation(status, body), name="Ada L", language="en")
    assert answer.status_code == 502
    assert "Please try again in a minute." in answer.text


def test_the_customer_page_without_a_server() -> None:
    """A policy server that cannot be reached is the same to the customer."""
    app = customer_app(EXAMPLES, "http://127.0.0.1:9", API_KEY, LINK_TYPE)
    answer = asyncio.run(submit(app, {"name": "Ada L", "language": "en"}))
    assert answer.status_code == 502
