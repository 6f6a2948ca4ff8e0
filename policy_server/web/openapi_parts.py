"""What the operations in ``/openapi.json`` have in common: problems, headers, examples."""

from collections.abc import Mapping
from typing import Final

from policy_server.web.problem import TYPE_ROOT
from policy_server.web.schemas import Json, example_of, ref
from policy_server.web.streams import STREAMS_LIMIT

PROBLEMS: Final[Mapping[str, str]] = {
    "busy": "too much is asked at once; ask again after `Retry-After` seconds",
    "call-over": "the link of the call that it would join is revoked or has expired",
    "conversation-required": "this server looks up nothing without `conversation`",
    "forbidden": "the agent is not active, of another organisation or division, or may not read its own user",
    "genesys-unavailable": "Genesys Cloud cannot say who the agent is at the moment",
    "idempotency-conflict": "an earlier, different request had this `Idempotency-Key`",
    "incomplete": "the body broke off",
    "internal": "an error of this server's, which is in its log",
    "invalid-conversation": "`conversation` is not the id of a conversation, or is given twice",
    "invalid-idempotency-key": "the `Idempotency-Key` is empty or too long",
    "invalid-json": "the body is not JSON",
    "invalid-search": "the question cannot be understood; `detail` lists everything that is wrong with it",
    "invalid-link": "the link cannot be made; `detail` lists everything that is wrong with the request",
    "not-bound": "the agent is not on the conversation, or it is not the conference's own; `detail` says why",
    "not-configured": "the operator of this server has not set this up",
    "not-movable": "the link was revoked, or moved to another time already; `detail` says which link took its place",
    "not-found": "nothing is served under this path",
    "stopping": "the server stops; connect again",
    "store-unavailable": "the database cannot be reached; nothing is known to be written, so try again",
    "too-large": "the body is too large",
    "too-many-refusals": "wrong credentials come from this address again and again; ask again after `Retry-After` seconds",
    "too-many-tokens": "too many tokens that were never verified come from this address, or in all",
    "too-many-streams": f"an agent may have {STREAMS_LIMIT} streams at a time",
    "unauthorized": "the credentials are missing, wrong or no longer good",
    "unknown-conference": "neither a call that this server signed, nor one that it knows",
    "unknown-link": "this server made no link of this call",
    "unknown-link-type": "there is no such type of link; `detail` lists those that there are",
    "unsupported-media-type": "the body is something else than JSON",
}
"""What a problem means, by what its type ends with."""


def problem(status: int, *kinds: str, comes_back: bool = False, headers: Json | None = None) -> Json:
    """The answer with one status; ``comes_back``: it may say when to try again."""
    told = "\n".join(f"- `{TYPE_ROOT}{kind}`: {PROBLEMS[kind]}" for kind in kinds)
    of_these = {"type": {"enum": [TYPE_ROOT + kind for kind in kinds]}, "status": {"const": status}}
    answer: Json = {
        "description": f"One of these problems:\n\n{told}\n"
        if kinds[1:]
        else f"`{TYPE_ROOT}{kinds[0]}`: {PROBLEMS[kinds[0]]}",
        "content": {"application/problem+json": {"schema": {"allOf": [ref("Problem"), {"properties": of_these}]}}},
    }
    if comes_back:
        after = {"type": "integer", "minimum": 1}
        headers = {"Retry-After": {"description": "Seconds after which to try again", "schema": after}}
    return {str(status): {**answer, "headers": headers} if headers else answer}


def unauthorized(scheme: str) -> Json:
    """The answers to whoever has no good credentials; ``scheme`` is how to authenticate."""
    challenge = header(f"How to authenticate: a {scheme} challenge", pattern=f"^{scheme}", required=True)
    refused = problem(401, "unauthorized", headers={"WWW-Authenticate": challenge})
    return {**refused, **problem(429, "too-many-refusals", comes_back=True)}


def header(description: str, *, required: bool = False, **schema: object) -> Json:
    """A header of an answer."""
    return {
        "description": description,
        **({"required": True} if required else {}),
        "schema": {"type": "string", **schema},
    }


def as_json(name: str, shapes: Json) -> Json:
    """A body of one of the shapes, with its example."""
    return {"application/json": {"schema": ref(name), "example": example_of(name, shapes)}}
