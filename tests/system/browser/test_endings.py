"""How a call ends before its time, or does not begin."""

from dataclasses import replace
from typing import Final

from policy_server.lab.sip.trunk import Answer
from tests.system.browser.stage import (
    ANSWERED,
    CUSTOMER,
    HUNG_UP,
    MARIA,
    NUMBER,
    TRUNK_LEG,
    UNHEARD,
    Scene,
    Stage,
    until,
)

BY_WIDGET: Final = "API initiated conference termination"
BY_SERVER: Final = "Conference terminated by an administrator"


def test_a_customer_who_closes_the_browser(stage: Stage) -> None:
    """The agent is told, and after a while without the customer everything ends: room, trunk and conversation."""

    async def act(scene: Scene) -> None:
        # With the ten seconds that the widget has either could be first.
        _wait_for_customers(scene, "10m")
        customer, agent = await scene.call()
        await customer.page.close()
        await agent.expect_state(
            "joined",
            "The customer has left the video room. The call ends in a few seconds unless the customer comes back.",
        )
        await scene.expect_room(TRUNK_LEG, MARIA)
        await scene.expect_room()
        scene.expect_one_invite()
        await until(lambda: len(scene.ended) == 1, lambda: "the room's BYE")
        (conversation,) = scene.lab.calls.conversations
        assert (conversation.customer.state, conversation.customer.disconnect_type) == ("disconnected", "endpoint")
        await agent.expect_state("ended", "The call has ended.")
        await scene.expect_story(*_deserted(BY_WIDGET))

    stage.play(act)


def test_a_customer_who_closes_the_browser_and_a_server_that_is_first(stage: Stage) -> None:
    """Where the rules say so the server ends everything before the widget would, and the agent is told."""

    async def act(scene: Scene) -> None:
        _wait_for_customers(scene, "0s")
        customer, agent = await scene.call()
        await customer.page.close()
        await agent.expect_state("ended", "The call has ended.")
        await scene.expect_room()
        await scene.expect_story(*_deserted(BY_SERVER), "The room is ended: the customer is gone.")

    stage.play(act)


def _wait_for_customers(scene: Scene, patience: str) -> None:
    """For so long the server waits for a customer to come back."""
    legs = "    dial_out:\n"
    scene.change_rules(legs, f"    assurance: {{ end_leg_with_customer: {patience} }}\n{legs}")


def _deserted(how: str) -> tuple[str, ...]:
    return (
        *ANSWERED,
        f"{CUSTOMER} left (Browser closed).",
        f"{NUMBER} was disconnected ({how}).",
        f"{MARIA} left ({how}).",
        "The conference ended.",
    )


def test_an_agent_who_hangs_up_during_hold(stage: Stage) -> None:
    """Everything ends, and it was the contact centre that ended the call on the trunk."""

    async def act(scene: Scene) -> None:
        customer, agent = await scene.call()
        await agent.press("hold")
        await agent.expect_state("held")
        await agent.press("disconnect")
        await agent.expect_state("ended", "The call has ended.")
        await customer.expect_state("ended")
        await scene.expect_room()
        scene.expect_one_invite()
        assert scene.ended == []
        assert not await agent.told("own").is_visible()
        await agent.press("wrap_up")
        await agent.page.get_by_test_id("idle").wait_for()
        await scene.expect_story(*ANSWERED, *HUNG_UP)

    stage.play(act)


def test_a_trunk_that_is_busy(stage: Stage) -> None:
    """486: the customer waits on, no agent gets a call, and the timeline says why."""

    async def act(scene: Scene) -> None:
        agent, customer = await scene.agent(), await scene.customer()
        await customer.expect_state("waiting")
        await until(lambda: scene.lab.trunk.invites, lambda: "an INVITE")
        await scene.expect_story(*UNHEARD, f"{NUMBER} refused the call (Call rejected).")
        scene.expect_one_invite()
        assert scene.room == []
        await customer.expect_state("waiting")
        assert scene.lab.calls.conversations == ()
        assert await agent.page.get_by_test_id("idle").is_visible()

    stage.play(act, answer=Answer.BUSY)


def test_a_trunk_that_is_silent(stage: Stage) -> None:
    """The customer waits; whoever gives up ends the call on the trunk, too."""

    async def act(scene: Scene) -> None:
        agent, customer = await scene.agent(), await scene.customer()
        await until(lambda: scene.lab.trunk.invites, lambda: "an INVITE")
        await scene.expect_story(*UNHEARD)
        await customer.expect_state("waiting")
        assert scene.room == []
        assert await agent.page.get_by_test_id("idle").is_visible()
        await customer.page.get_by_test_id("hang-up").click()
        await customer.expect_state("ended")
        await until(lambda: len(scene.ended) == 1, lambda: "the room's CANCEL")
        assert scene.lab.node.meetings == {}
        assert scene.lab.calls.conversations == ()
        await scene.expect_story(
            *UNHEARD,
            f"{CUSTOMER} left (User initiated disconnect).",
            f"{NUMBER} was disconnected (No participants can keep conference alive).",
            "The conference ended.",
        )

    stage.play(act, answer=Answer.SILENT)


def test_an_agent_of_a_wrong_division(stage: Stage) -> None:
    """The lookup is refused: no leg, nothing of the customer, a sentence that says what to do; a new sign-in helps."""

    async def act(scene: Scene) -> None:
        cloud = scene.lab.cloud
        allowed = cloud.agents["maria"]
        cloud.agents["maria"] = replace(allowed, division_id="99999999-0000-4000-8000-000000000000")
        agent, customer = await scene.agent(), await scene.customer()
        await agent.answer()
        refused = (
            "You are not allowed to see this video room. Ask your supervisor to give you access, then press Retry."
        )
        await agent.expect_state("failed", refused)
        await customer.expect_state("connected")
        assert scene.room == [CUSTOMER, TRUNK_LEG]
        assert await agent.told("customer").text_content() == ""
        assert await agent.told("attributes").inner_text() == ""
        scene.expect_one_invite()
        unseen = ANSWERED[:-2]
        await scene.expect_story(*unseen)
        cloud.agents["maria"] = allowed
        cloud.expire_token("maria")
        await agent.expect_state("failed", "Your sign-in to Genesys Cloud has expired. Press Retry to sign in again.")
        await agent.told("retry").click()
        await agent.expect_seen()
        await customer.expect_pictures()
        assert scene.room == [CUSTOMER, TRUNK_LEG, MARIA]
        await scene.expect_story(*ANSWERED)

    stage.play(act)
