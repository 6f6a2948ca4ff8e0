"""The door outside opening hours: the customer gets a page of the policy server, and nothing rings."""

from datetime import UTC, datetime, timedelta

from tests.system.browser.stage import Scene, Stage

ALWAYS = 'mon-sun: ["00:00-24:00"]'


def test_a_closed_door(stage: Stage) -> None:
    """The page says when the clinic opens; there is no room, no call, and the timeline says why."""

    async def act(scene: Scene) -> None:
        day = (datetime.now(UTC) + timedelta(days=3)).strftime("%a").lower()
        scene.change_rules(ALWAYS, f'{day}: ["08:00-17:00"]')
        call_id, url = await scene.make_link()
        page = await scene.page("customer")
        answer = await page.goto(url)
        assert answer is not None
        assert answer.ok
        await page.get_by_role("heading", name="We are closed at the moment").wait_for()
        await scene.shoot("closed-door", page, 400)
        assert scene.lab.node.meetings == {}
        assert scene.lab.trunk.invites == ()
        await scene.expect_story(
            "The link was made by 'lab'.", "A customer opened the link outside opening hours.", call_id=call_id
        )

    stage.play(act)
