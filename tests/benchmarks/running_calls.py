"""Calls that are under way, made quickly: what streams watch, and what nodes ask about."""

import asyncio
from typing import Final

from policy_server.pexip.requests import encode_query
from policy_server.simulator.events import browser, bulk, trunk_leg
from policy_server.simulator.node import web_question
from tests.benchmarks.callers import Answered, Callers

AT_ONCE: Final = 8
ASKED_CALLS: Final = 100
QUESTIONS_A_CALL: Final = 30


async def begin_calls(callers: Callers, number: int) -> list[Answered]:
    """So many calls with a customer and a leg in the room, each answered by an agent."""
    places = asyncio.Semaphore(AT_ONCE)

    async def begin(one: int) -> Answered:
        async with places:
            name = f"Ada {one}"
            made = await callers.link(name)
            service = await callers.policy("service/configuration", **web_question(made["alias"], name))
            news = callers.reporter(service)
            (leg,) = service["automatic_participants"]
            there = (*browser(name, made["alias"], "guest"), trunk_leg(leg))
            await callers.report(bulk([news.started(), *map(news.connected, there)]))
            return callers.answered(made, news, one)

    return await asyncio.gather(*map(begin, range(number)))


async def ask_of_calls(callers: Callers) -> list[str]:
    """Questions about new calls, each from another caller, some for each call."""
    links = [await callers.link(f"Grace {number}") for number in range(ASKED_CALLS)]
    return [
        encode_query(web_question(link["alias"], f"Grace {number} of {turn}"))
        for number, link in enumerate(links)
        for turn in range(QUESTIONS_A_CALL)
    ]
