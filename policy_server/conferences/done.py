"""How what assurance does for a call is noted: in words, and with what a verdict has to know of it."""

from collections.abc import Mapping
from typing import assert_never

from policy_server.conferences.assurance import Action, Dial, Drop, End, Move
from policy_server.conferences.assurance_memory import FIRST
from policy_server.conferences.sightings import Seen
from policy_server.conferences.timeline import Step
from policy_server.policy.assurance import Assured


def details_of(step: Action, seen: Seen | None) -> Mapping[str, object]:
    """What is to be known of a step beside what was done: of a leg all by which nodes may name it."""
    match step:
        case Dial(entry):
            return {"is_first": entry == FIRST}
        case Drop(leg):
            people = seen.people if seen is not None else ()
            return {"legs": sorted({leg, *(name for one in people if leg in one.ids for name in one.ids)})}
        case End(reason):
            return {"reason": reason}
        case Move():
            return {}
        case _:
            assert_never(step)


def done_in_words(step: Action, known: Assured) -> tuple[Step, str]:
    """A step in one word and in a sentence."""
    match step:
        case Dial(entry) if entry == FIRST:
            return Step.DIALLED, "No node has dialled the contact centre, so it is dialled."
        case Dial(entry):
            trunk = known.entries[entry].trunk
            return (
                Step.DIALLED,
                f"No agent was reached, so {f'trunk {trunk!r}' if trunk else 'the next entry'} is dialled.",
            )
        case Drop():
            return Step.DROPPED, "A call to the contact centre that is not wanted any more is ended."
        case Move():
            return Step.MOVED, "Nobody could be reached. The customer is transferred."
        case End(reason):
            return Step.ENDED, f"The room is ended: {reason}."
        case _:
            assert_never(step)
