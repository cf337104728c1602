from __future__ import annotations

from tests.kit.command_bot import STRANGER, CommandBot


async def test_all_commands(bot: CommandBot) -> None:
    card = await bot.say("help")
    assert card.title == "What I can do"
    headings = [(line.name, line.text) for line in card.lines if line.name.isupper()]
    assert headings == [
        ("LOOK", "for viewers and up"),
        ("DEPLOY", "for deployers and up"),
        ("APPROVE", "for approvers and up"),
        ("MANAGE ACCESS", "for admins"),
        ("HELP AND YOUR ACCOUNT", "for everybody"),
    ]
    shown = {line.name for line in card.lines}
    assert {made.usage for made in bot.services.commands.values()} <= shown
    assert card.hint == "`help COMMAND` shows more, with examples."


async def test_one_command(bot: CommandBot) -> None:
    card = await bot.say("help /Rollback", STRANGER)
    assert card.title == "rollback <app> [from <env>] [to <release>] [--dry-run] [--break-glass] [code <code>]"
    assert card.text == (
        "Roll back to an app's last good release, or to the one you name.\n\n"
        "`rollback` and `rollback shop` alone ask: they show the last good releases, what you would lose with each, "
        "and which servers still have it. A button shows the plan, and the button of the plan rolls back. With an "
        "environment, a release or an option, the rollback starts at once. In a script, `rollback shop` starts at "
        "once, too.\n\n"
        "Name a release by its ref, or by the number of the deployment that deployed it. Its images come back with it, "
        "and if the Compose files are the servers' own, the settings of then. "
        "If the servers run different releases, the bot rolls all of them back to the last good release before the "
        "newest one that runs. `refs`, `signed` and `after` do not block a release that ran well there before. With "
        "`--break-glass`, an admin bypasses approvals and locks; see `help deploy`. `--dry-run` shows the plan and "
        "changes nothing that runs."
    )
    assert card.code[0] == "rollback shop from production"
    assert card.footer == "For deployers and up."


async def test_every_page_reads(bot: CommandBot) -> None:
    for name, made in bot.services.commands.items():
        card = await bot.say(f"help {name}")
        assert card.title == made.usage
        assert card.text.split("\n", maxsplit=1)[0].endswith(".")
        assert card.code


async def test_what_does_not_exist(bot: CommandBot) -> None:
    card = await bot.say("help rolback")
    assert card.title == "There is no command `rolback`, did you mean `rollback`?"
    assert card.hint == "`help` lists what I can do."
    assert (await bot.say("help me")).title == "There is no command `me`."
