from __future__ import annotations

from deploybot import Changes, Commit, Line, Tone
from deploybot.domain import ImagesSource, Pin, Release
from tests.kit.command_bot import V1, V2, CommandBot

COMMITS = (Commit("b" * 40, "ana", "Mend the cart", 2.0), Commit("a" * 40, "ben", "Break the cart", 1.0))


async def test_commits_authors_and_warnings(bot: CommandBot) -> None:
    bot.releases.runs["shop", "production"] = V1
    bot.releases.between["v1.3", "v1.4"] = Changes(
        commits=COMMITS, total=12, removed=1, files=40, warnings=("migrations/7.sql",)
    )
    card = await bot.say("diff shop@v1.4 production")
    assert card.title == "shop/production: v1.3 (1111111111) → v1.4 (2222222222)"
    assert card.text == "12 commits by 2 authors, 40 files changed."
    assert card.table
    assert card.table.columns == ("commit", "author", "what")
    assert card.table.rows == (("bbbbbbbbbb", "ana", "Mend the cart"), ("aaaaaaaaaa", "ben", "Break the cart"))
    assert card.lines == (
        Line("removes", "1 commit of v1.3 (1111111111)", Tone.WARN),
        Line("look at", "migrations/7.sql", Tone.WARN),
    )
    assert card.footer == "10 older commits are not shown."
    assert card.tone is Tone.WARN


async def test_little(bot: CommandBot) -> None:
    bot.releases.runs["shop", "staging"] = V1
    bot.releases.between["v1.3", "v1.4"] = Changes(commits=COMMITS[:1], total=1, files=1)
    card = await bot.say("diff shop@v1.4")
    assert (card.text, card.footer, card.tone) == ("1 commit by 1 author, 1 file changed.", "", Tone.PLAIN)


async def test_only_back(bot: CommandBot) -> None:
    bot.releases.runs["shop", "staging"] = V2
    bot.releases.between["v1.4", "v1.3"] = Changes(removed=3, files=2)
    card = await bot.say("diff shop@v1.3")
    assert card.text == "0 commits by 0 authors, 2 files changed."
    assert card.table is None
    assert card.lines == (Line("removes", "3 commits of v1.4 (2222222222)", Tone.WARN),)


async def test_the_first(bot: CommandBot) -> None:
    card = await bot.say("diff shop@v1.4")
    assert card.title == "shop/staging has no release to compare v1.4 (2222222222) with."


async def test_the_same(bot: CommandBot) -> None:
    bot.releases.runs["shop", "staging"] = V2
    card = await bot.say("diff shop@v1.4")
    assert card.title == "shop/staging already has v1.4 (2222222222): no commit or image would change."


async def test_nothing_is_claimed_of_what_is_not_known(bot: CommandBot) -> None:
    bot.releases.runs["shop", "staging"] = V1
    card = await bot.say("diff shop@v1.4")
    assert card.text == "One of them is no longer in the repository, so I cannot show what changed between them."
    assert card.tone is Tone.UNKNOWN


WEB = Pin("web", "acme/shop", "1.4", f"sha256:{'1' * 64}")


async def test_without_a_commit_the_images_are_all_that_is_known(bot: CommandBot) -> None:
    old = Release(ImagesSource((WEB,)))
    bot.releases.runs["shop", "staging"] = old
    card = await bot.say("diff shop@v1.4")
    assert card.text == f"{old} has no commit, so I cannot show what changed between them."
    assert card.lines == (Line("images", "web 1.4 sha256:1111111111 → not pinned"),)
    assert card.tone is Tone.UNKNOWN


async def test_the_commit_of_other_images_stays(bot: CommandBot) -> None:
    bot.releases.runs["shop", "staging"] = V2.with_images([WEB])
    bot.releases.between["v1.4", "v1.4"] = Changes()
    card = await bot.say("diff shop@v1.4")
    assert card.text == "The commit stays the same."


async def test_servers_that_run_something_else_are_named(bot: CommandBot) -> None:
    place = ("shop", "production")
    bot.releases.servers[place] = {"web1": V1, "web2": V2}
    bot.releases.between["v1.3", "v1.4"] = Changes(commits=COMMITS[:1], total=1, files=1)
    card = await bot.say("diff shop@v1.4 production")
    assert card.title == "shop/production: v1.3 (1111111111) → v1.4 (2222222222)"
    assert card.lines == (Line("web2", "runs v1.4 (2222222222)", Tone.WARN),)
    bot.releases.servers[place] = {"web1": V2, "web2": None}
    card = await bot.say("diff shop@v1.4 production")
    assert card.title == "shop/production: v1.4 (2222222222) would be new on 1 of 2 servers."
    assert card.lines == (Line("web2", "runs no release of deploybot's", Tone.UNKNOWN),)
    bot.releases.servers[place] = {"web1": V2}
    card = await bot.say("diff shop@v1.4 production")
    assert card.title == "shop/production: v1.4 (2222222222) may be new on 1 of 2 servers."
    assert card.lines == (Line("web2", "unknown: it does not answer", Tone.UNKNOWN),)


async def test_a_phone_shows_a_commit_a_line_and_its_author_in_the_details(bot: CommandBot) -> None:
    bot.releases.runs["shop", "production"] = V1
    long = Commit("c" * 40, "cem", "Say what the cart holds when its last item was sold meanwhile", 3.0)
    bot.releases.between["v1.3", "v1.4"] = Changes(commits=(long, *COMMITS), total=3, files=9)
    card = await bot.say("diff shop@v1.4 production")
    assert card.table
    assert card.table.narrow == (
        "ccccccc Say what the cart holds when it…",
        "bbbbbbb Mend the cart",
        "aaaaaaa Break the cart",
    )
    assert card.folded[0] == Line("cccccccccc", f"author: cem, what: {long.subject}")
