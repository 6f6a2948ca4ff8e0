"""A call from the customer's page to the last hang-up, and whatever happens to the widget in the middle of it."""

from policy_server.lab.sip.trunk import SipCall
from tests.system.browser.stage import (
    ANSWERED,
    CUSTOMER,
    HUNG_UP,
    MARIA,
    REQUEST_URI,
    TOM,
    TRUNK_LEG,
    Customer,
    Scene,
    Stage,
)


def test_the_good_call(stage: Stage) -> None:
    """Customer and agent see each other; when the agent hangs up, everything ends."""

    async def act(scene: Scene) -> None:
        agent, customer = await scene.agent(), await scene.customer()
        await agent.answer()
        await agent.expect_seen()
        await customer.expect_state("connected")
        await customer.expect_pictures()
        await agent.expect_picture()
        await scene.expect_room(CUSTOMER, TRUNK_LEG, MARIA)
        trunk_leg = f"{TRUNK_LEG} (phone line to the contact centre)"
        await agent.expect_people(CUSTOMER, trunk_leg, f"{MARIA} (you)")
        assert await agent.told("customer").text_content() == CUSTOMER
        assert await agent.found_by() == "ani"
        assert await agent.told("attributes").locator("li").all_text_contents() == ["language: es"]
        scene.expect_one_invite()
        await scene.shoot("customer", customer.page, 720)
        await scene.shoot("agent-desktop", agent.page, 920)
        await agent.press("disconnect")
        await customer.expect_state("ended")
        await agent.expect_state("ended", "The call has ended.")
        await scene.expect_room()
        assert scene.ended == []
        await scene.expect_story(*ANSWERED, *HUNG_UP)

    stage.play(act)


def test_a_widget_that_is_there_before_the_room(stage: Stage) -> None:
    """It waits, says so, and joins by itself once the customer has opened the link."""

    async def act(scene: Scene) -> None:
        agent = await scene.agent()
        call_id, url = await scene.make_link()
        call = await SipCall.place(
            REQUEST_URI,
            from_display_name=CUSTOMER,
            from_user=call_id,
            proxy=scene.lab.trunk.address,
            folder=scene.lab.logs,
            on_ringing=lambda: None,
            on_answered=lambda: None,
            on_ended=lambda _: None,
        )
        await scene.people.enter_async_context(call)
        await agent.answer()
        not_yet = "The customer is not in the video room yet. Video starts as soon as the room is there."
        await agent.expect_state("waiting", not_yet)
        await agent.expect_people("Nobody")
        assert scene.lab.node.meetings == {}
        page = await scene.page("customer")
        await page.goto(url)
        await agent.expect_seen()
        await Customer(page).expect_pictures()
        await scene.expect_room(CUSTOMER, MARIA)
        scene.expect_one_invite()
        await agent.press("disconnect")
        await Customer(page).expect_state("ended")
        await scene.expect_room()
        await scene.expect_story(
            "The link was made by 'lab'.",
            f"{MARIA} looked up the conference.",
            "A customer opened the link and was let in.",
            "The conference started.",
            f"{CUSTOMER} joined as Guest.",
            f"{MARIA} joined as Host.",
            f"{CUSTOMER} left (API initiated conference termination).",
            f"{MARIA} left (API initiated conference termination).",
            "The conference ended.",
        )

    # Nobody but this test calls the trunk.
    stage.play(act, adp_delay=600)


def test_events_that_come_again(stage: Stage) -> None:
    """Genesys Cloud says everything three times, and the widget is open in two tabs: the agent has one leg.

    Retry in the second tab moves it there, and nobody else's leg goes.
    """

    async def act(scene: Scene) -> None:
        scene.lab.calls.copies = 3
        customer, agent = await scene.call()
        (conversation,) = scene.lab.calls.conversations
        for _ in range(5):
            scene.lab.calls.repeat(conversation.id)
        second = await agent.neighbour()
        elsewhere = (
            "Video of this call is already open in another window. Use that one, or press Retry to move it here."
        )
        await second.expect_state("failed", elsewhere)
        await agent.expect_seen()
        await customer.expect_pictures()
        assert scene.room == [CUSTOMER, TRUNK_LEG, MARIA]
        await scene.expect_story(*ANSWERED)
        await second.told("retry").click()
        await second.expect_seen()
        moved = "Video of this call has moved to another window. Use that one, or press Retry to move it here."
        await agent.expect_state("failed", moved)
        await scene.expect_room(CUSTOMER, TRUNK_LEG, MARIA)
        await customer.expect_pictures()
        scene.expect_one_invite()
        assert scene.ended == []
        await second.press("disconnect")
        await customer.expect_state("ended")
        await scene.expect_room()

    stage.play(act)


def test_a_reload_in_the_middle(stage: Stage) -> None:
    """The agent reloads the desktop: one leg of the agent goes, one comes, and nobody else notices."""

    async def act(scene: Scene) -> None:
        customer, agent = await scene.call()
        await agent.page.reload()
        await agent.expect_seen()
        await scene.expect_room(CUSTOMER, TRUNK_LEG, MARIA)
        await customer.expect_state("connected")
        await customer.expect_pictures()
        scene.expect_one_invite()
        assert scene.ended == []
        await agent.press("disconnect")
        await customer.expect_state("ended")
        await scene.expect_room()
        gone_and_back = (f"{MARIA} left (Browser closed).", f"{MARIA} joined as Host.")
        await scene.expect_story(*ANSWERED, *gone_and_back, *HUNG_UP)

    stage.play(act)


def test_a_transfer_and_back(stage: Stage) -> None:
    """The widget of whoever has the call is in the room, the other's is not; the customer stays throughout."""

    async def act(scene: Scene) -> None:
        customer, maria = await scene.call()
        tom = await scene.agent("tom")
        await maria.page.get_by_test_id("transfer-to").select_option("tom")
        await maria.press("transfer")
        left = "You have left the call. Video starts again if the call comes back to you."
        await maria.expect_state("ended", left)
        await scene.expect_room(CUSTOMER, TRUNK_LEG)
        await tom.answer()
        await tom.expect_seen()
        await tom.expect_picture()
        await customer.expect_pictures()
        await scene.expect_room(CUSTOMER, TRUNK_LEG, TOM)
        await tom.press("transfer_back")
        await tom.expect_state("ended", left)
        await scene.expect_room(CUSTOMER, TRUNK_LEG)
        await maria.answer()
        await maria.expect_seen()
        await customer.expect_pictures()
        await scene.expect_room(CUSTOMER, TRUNK_LEG, MARIA)
        await customer.expect_state("connected")
        scene.expect_one_invite()
        assert scene.ended == []
        await maria.press("disconnect")
        await customer.expect_state("ended")
        await tom.expect_state("ended", "The call has ended.")
        await scene.expect_room()
        await scene.expect_story(
            *ANSWERED,
            f"{MARIA} left (User initiated disconnect).",
            f"{TOM} looked up the conference.",
            f"{TOM} joined as Host.",
            f"{TOM} left (User initiated disconnect).",
            f"{MARIA} joined as Host.",
            *HUNG_UP,
        )

    stage.play(act)
