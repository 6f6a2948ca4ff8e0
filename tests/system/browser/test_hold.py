"""Hold: the customer sees the agent only while it is known that they are on the same call."""

from tests.system.browser.stage import (
    ANSWERED,
    CUSTOMER,
    HUNG_UP,
    MARIA,
    TRUNK_LEG,
    Agent,
    Customer,
    Scene,
    Stage,
    until,
)

ON_HOLD = "The call is on hold: the customer cannot see you."
CHECKING = "Checking the call. Until that is done, the customer cannot see you."
WATCHED = 2.0
"""How long the customer's pictures are watched, in seconds."""
QUIET_AFTER = 1.0
"""After so long no picture may come."""
STABLE = 0.75
"""So long the call must have been the same before the agent is shown again."""


async def expect_quiet(customer: Customer) -> None:
    """No picture comes any more after the first second."""
    assert await customer.last_picture(WATCHED) <= QUIET_AFTER


async def hang_up(scene: Scene, customer: Customer, agent: Agent) -> None:
    """The only call of the trunk goes on; then the agent ends it, for everybody."""
    scene.expect_one_invite()
    assert scene.ended == []
    await agent.press("disconnect")
    await customer.expect_state("ended")
    await scene.expect_room()
    await scene.expect_story(*ANSWERED, *HUNG_UP)


def test_hold_and_resume(stage: Stage) -> None:
    """On hold the customer gets no picture; after it they come again, but not at once."""

    async def act(scene: Scene) -> None:
        customer, agent = await scene.call()
        await agent.press("hold")
        await expect_quiet(customer)
        await agent.expect_state("held")
        assert await agent.told("hold").text_content() == ON_HOLD
        assert await agent.told("seen").text_content() == "The customer cannot see you"
        assert scene.room == [CUSTOMER, TRUNK_LEG, MARIA]
        await agent.expect_picture()
        await agent.press("unhold")
        assert await customer.first_picture() > STABLE / 2
        await agent.expect_seen()
        await customer.expect_pictures()
        await hang_up(scene, customer, agent)

    stage.play(act)


def test_a_notification_socket_that_is_killed_during_hold(stage: Stage) -> None:
    """What REST says of the resumed call is not enough: the agent is shown only once notifications come again."""

    async def act(scene: Scene) -> None:
        cloud = scene.lab.cloud
        customer, agent = await scene.call()
        await agent.press("hold")
        await agent.expect_state("held")
        cloud.trouble(status=503, only="/api/v2/notifications/")
        cloud.drop_channel("maria")
        await until(lambda: not cloud.channels.is_listening(cloud.agent("maria").id), lambda: "the socket's end")
        await agent.press("unhold")
        await agent.expect_state("joined", CHECKING)
        await expect_quiet(customer)
        assert await agent.told("seen").text_content() == "The customer cannot see you"
        cloud.clear()
        await agent.expect_seen()
        await customer.expect_pictures()
        assert scene.room == [CUSTOMER, TRUNK_LEG, MARIA]
        await hang_up(scene, customer, agent)

    stage.play(act)


def test_a_channel_that_delivers_nothing(stage: Stage) -> None:
    """A hold of which no notification tells is noticed by the next read, and the agent is hidden."""

    async def act(scene: Scene) -> None:
        customer, agent = await scene.call()
        scene.lab.cloud.deaf_channel("maria")
        await agent.press("hold")
        await agent.expect_state("held")
        await expect_quiet(customer)
        scene.lab.cloud.deaf_channel("maria", False)
        await agent.press("unhold")
        await agent.expect_seen()
        await customer.expect_pictures()
        assert scene.room == [CUSTOMER, TRUNK_LEG, MARIA]
        await hang_up(scene, customer, agent)

    stage.play(act)
