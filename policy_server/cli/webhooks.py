"""``webhook``: what other systems are told of calls: try it, see what never arrived, and send that again."""

import asyncio
import secrets
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

import click

from policy_server.app import utc_now
from policy_server.cli.common import Unusable, echo, json_option, print_json, settings, words_of
from policy_server.cli.conferences import require_database
from policy_server.conferences.deliveries import dead_letters, send_again
from policy_server.conferences.due import DueAction
from policy_server.conferences.errors import StoreUnavailableError
from policy_server.conferences.shapes import stamp
from policy_server.conferences.store import ConferenceStore
from policy_server.conferences.tables import encode
from policy_server.conferences.telling import delivery_kind
from policy_server.outbound.receivers import Receiver
from policy_server.outbound.webhooks import Refused, Sender, Taken
from policy_server.settings import Settings
from policy_server.wording.values import shown
from policy_server.wording.words import nearest

TEST: Final = "webhook.test"
"""The type of a message that is about no call."""


@click.group()
def webhook() -> None:
    """Tell other systems of calls."""


@webhook.command("test")
@click.argument("name")
def send_test(name: str) -> None:
    """Send the receiver NAME of POLICY_WEBHOOKS a message of type webhook.test, once and at once.

    Exit status 1 when it does not take it.
    """
    found = settings()
    (text,) = words_of((name,))
    receiver = _receiver(found, text)
    match asyncio.run(_send_test(receiver)):
        case Taken(status):
            echo(f"{receiver.name} ({receiver.host}) took the message: it answered {status}.")
        case Refused() as refused:
            echo(f"{receiver.name} ({receiver.host}) did not take the message: {refused.reason}.", err=True)
            sys.exit(1)


@webhook.command("list")
@click.option("--waiting", is_flag=True, help="Those that are still to be sent.")
@json_option
def list_letters(waiting: bool, as_json: bool) -> None:
    """Print the dead letters: messages that a receiver did not take within a day, and that are not sent any more.

    Reads the database of POLICY_DATABASE_URL, whether the server runs or not.
    """
    found = settings()
    letters = _in_database(found, partial(_find, found, waiting=waiting))
    if as_json:
        print_json([_plain(letter) for letter in letters])
        return
    for letter in letters:
        told = _plain(letter)
        times = "once" if told["sends"] == 1 else f"{told['sends']} times"
        error = f"; {told['error']}" if told["error"] else ""
        echo(f"{told['id']}  call {told['call']}  since {told['since']}, sent {times}{error}")
    if not letters:
        echo("Nothing waits to be sent." if waiting else "There are no dead letters.")


@webhook.command("resend")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "every", is_flag=True, help="All dead letters.")
def resend(ids: tuple[str, ...], every: bool) -> None:
    """Have dead letters sent again, for a day: those of some IDs, as `webhook list` prints them, or all.

    The servers send them within seconds, each call's in order. Exit status 1 when one of them is no dead letter.
    """
    if bool(ids) == every:
        raise Unusable("name the IDs of dead letters, as webhook list prints them, or say --all")
    found = settings()
    wanted = set(words_of(ids))
    letters = _in_database(found, partial(_find, found, waiting=False))
    chosen = [letter for letter in letters if every or _shown_id(letter) in wanted]
    sent = _in_database(found, partial(_send_again, found, chosen))
    unknown = sorted(wanted - {_shown_id(letter) for letter in chosen})
    echo(f"{sent} of {len(chosen)} dead letters are sent again." if chosen else "Nothing is sent again.")
    for each in unknown:
        echo(f"{shown(each)} is no dead letter", err=True)
    if unknown:
        sys.exit(1)


# ------------------------------------------------------------------ what they need


def _receiver(found: Settings, name: str) -> Receiver:
    names = [receiver.name for receiver in found.receivers]
    if not names:
        raise Unusable("POLICY_WEBHOOKS is not set: there is nobody to tell")
    if name not in names:
        near = nearest(name, names)
        hint = f"did you mean {near}?" if near else f"there {'is' if len(names) == 1 else 'are'} {', '.join(names)}"
        raise Unusable(f"POLICY_WEBHOOKS has no receiver {shown(name)}; {hint}")
    return found.receivers[names.index(name)]


async def _send_test(receiver: Receiver) -> Taken | Refused:
    now, sender = utc_now(), Sender(receiver)
    try:
        body = encode({"type": TEST, "timestamp": stamp(now), "data": {}})
        return await sender.send(f"msg_test_{secrets.token_hex(8)}", body, now)
    finally:
        await sender.close()


T = TypeVar("T")


def _in_database(found: Settings, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    require_database(found)
    try:
        return asyncio.run(work())
    except StoreUnavailableError as error:
        raise Unusable(f"the messages cannot be looked up: {error}") from None


async def _find(found: Settings, *, waiting: bool) -> Sequence[DueAction]:
    async with ConferenceStore(found.database_url) as store:
        letters: list[DueAction] = []
        for receiver in found.receivers:
            kind = delivery_kind(receiver.name)
            letters += await (store.waiting_due(kind) if waiting else dead_letters(store, kind))
        return letters


async def _send_again(found: Settings, letters: Sequence[DueAction]) -> int:
    async with ConferenceStore(found.database_url) as store:
        return sum([await send_again(store, letter, utc_now()) for letter in letters])


def _shown_id(letter: DueAction) -> str:
    return letter.id.partition(":")[2]


def _plain(letter: DueAction) -> dict[str, object]:
    """What people may know of a message: not what is in it."""
    known = {name: letter.data.get(name) for name in ("event", "since", "sends", "error")}
    return {"id": _shown_id(letter), "call": letter.key, **known, "next_at": _time(letter)}


def _time(letter: DueAction) -> str | None:
    at: datetime | None = None if letter.done_at is not None else letter.due_at
    return stamp(at, "seconds")
