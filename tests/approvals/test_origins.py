"""`refs` and `signed` of an environment: what may be deployed there by anybody, on a real repository."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.deployments.fingerprint import differences
from deploybot.domain import Binding, Release, RequestVerdict, State
from deploybot.masking import Redactor
from deploybot.settings import Signer
from deploybot.sources.git_source import GitSource
from deploybot.store.codec import decode, encode
from tests.approvals.conftest import open_approval_bot
from tests.kit.bot import BotUnderTest, shop_settings
from tests.lab import Repo
from tests.lab.run import run

PRODUCTION = ["main", {"tag": "v*", "on": "main"}]
ONLY = "Only commits on main or tag v* on main may be deployed to shop/production; this one is on "


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "shop.git")
    made.commit({"a": "1"}, "Begin")
    return made


@asynccontextmanager
async def bot_with(
    repo: Repo, tmp_path: Path, signers: dict[str, Signer] | None = None, **environment: object
) -> AsyncIterator[BotUnderTest]:
    source = GitSource(tmp_path / "git", Redactor(), signers=signers or {})
    async with open_approval_bot(tmp_path, source, **({"approvals": 0} | environment)) as bot:
        bot.app.__dict__["repo"] = repo.url
        bot.production.__dict__["signed"] = bool(signers)
        yield bot


@pytest.fixture
async def bot(tmp_path: Path, repo: Repo) -> AsyncIterator[BotUnderTest]:
    """A bot whose production takes what is on main, and tags of it."""
    async with bot_with(repo, tmp_path, refs=PRODUCTION) as made:
        yield made


async def succeeds(bot: BotUnderTest, text: str, who: str = "ana") -> None:
    number = await bot.ask(text, who)
    assert (await bot.end_of(number)).state is State.SUCCEEDED, text


async def test_what_is_on_main_is_deployed_by_branch_tag_or_commit(bot: BotUnderTest, repo: Repo) -> None:
    first = repo.tag("v1", message="One")
    second = repo.commit({"a": "2"})
    for ref in ("main", "v1", first, second[:9], first):
        await succeeds(bot, f"deploy shop@{ref} to production")


@pytest.mark.parametrize(
    ("who", "more"),
    [("ana", ""), ("ana", " --dry-run"), ("dia", ""), ("dia", " --break-glass because the shop is down")],
)
async def test_nobody_deploys_anything_else(bot: BotUnderTest, repo: Repo, who: str, more: str) -> None:
    """Not admins, not the other way round a branch, and not by break glass."""
    repo.commit({"a": "evil"}, branch="main-2")
    commit = repo.tag("v2", "main-2")
    repo.tag("main", commit)
    for ref in ("main-2", "v2", commit, "tags/main", commit[:9]):
        card = await bot.say(f"deploy shop@{ref} to production{more}", who)
        assert not card.ok
        assert f"{ONLY}branch main-2, tag main, tag v2" in card.title
    assert bot.current() == {""}
    assert not [one for one in await bot.audit() if one.action in {"deploy asked", "break glass"}]


async def test_a_tag_beside_a_branch_of_its_name_is_no_way_in(tmp_path: Path, repo: Repo) -> None:
    """With `refs = ["main"]`, who may push tags and not to main cannot make a tag that is called main."""
    async with bot_with(repo, tmp_path, refs=["main", "v*"]) as bot:
        evil = repo.commit({"a": "evil"}, branch="evil")
        repo.tag("main", evil)
        assert not (await bot.say(f"deploy shop@{evil} to production")).ok
        repo.tag("v1", evil)
        await succeeds(bot, f"deploy shop@{evil} to production")


async def test_why_says_which_refs_and_whether_this_one(bot: BotUnderTest, repo: Repo) -> None:
    repo.commit({"a": "evil"}, branch="evil")
    repo.tag("v1")

    async def reason(what: str, name: str) -> str:
        card = await bot.say(f"why {what}")
        return next((line.text for line in card.lines if line.name == name), "")

    only = "Only commits on main or tag v* on main may be deployed"
    assert (await reason("deploy shop production", "refs")).startswith(f"{only} here")
    assert await reason("deploy shop@v1 production", "refs") == (
        "The commit is on branch main; allowed: main or tag v* on main."
    )
    assert await reason("deploy shop@evil production", "refs") == f"{ONLY}branch evil."
    assert not await reason("restart shop production", "refs")
    assert not await reason("deploy shop@evil staging", "refs")


async def test_a_push_over_the_branch_while_it_waits_is_noticed(bot: BotUnderTest, repo: Repo) -> None:
    """It was on main when it was asked for; when its turn comes, it is on nothing any more."""
    good = repo.sha("main")
    repo.commit({"a": "2"})
    async with bot.busy():
        number = await bot.ask("deploy shop@main to production")
        repo.branch("main", good)
    ended = await bot.end_of(number)
    assert ended.state is State.FAILED
    assert ended.outcome == f"{ONLY}no branch and no tag. Nothing was done."
    assert bot.current() == {""}


async def test_a_bot_that_died_before_the_first_step_looks_again(bot: BotUnderTest, repo: Repo) -> None:
    good = repo.sha("main")
    repo.commit({"a": "2"})
    async with bot.busy():
        number = await bot.ask("deploy shop@main to production")
        await bot.store.write(lambda tables: tables.deployments.move(number, State.RUNNING, now=1.0))
        await bot.deployments.queue.close()
    repo.branch("main", good)
    await bot.restart()
    ended = await bot.end_of(number)
    assert (ended.state, ended.outcome.partition(";")[0]) == (State.FAILED, ONLY.partition(";")[0])
    assert bot.current() == {""}


@pytest.mark.parametrize("approved", [False, True])
async def test_approvals_are_bound_to_what_let_it_in(tmp_path: Path, repo: Repo, *, approved: bool) -> None:
    """The commit itself stays the same; that its tag is not on main any more voids what was approved."""
    first = repo.sha("main")
    commit = repo.tag("v2", repo.commit({"a": "2"}))
    repo.branch("keep", commit)
    async with bot_with(repo, tmp_path, approvals=1, refs=[{"tag": "v*", "on": "main"}]) as bot:
        number = await bot.ask("deploy shop@v2 to production")
        assert (await bot.request_of(number)).binding.origin == (("ref", "tag v2 on main"),)
        assert ("from", "tag v2 on main") in [(line.name, line.text) for line in (await bot.card(number)).details]
        if approved:
            async with bot.busy():
                assert (await bot.say(f"approve #{number}", "ben")).ok
                repo.branch("main", first)
            ended = await bot.end_of(number)
            assert ended.state is State.FAILED
        else:
            repo.branch("main", first)
            assert not (await bot.say(f"approve #{number}", "ben")).ok
            ended = await bot.deployment(number)
            assert ended.verdict is RequestVerdict.VOID
            assert "ref: was tag v2 on main, now nothing that refs allow" in ended.outcome
        assert bot.current() == {""}


async def test_a_new_branch_with_the_same_commit_voids_nothing(tmp_path: Path, repo: Repo) -> None:
    repo.branch("release/1")
    repo.delete("refs/heads/main")
    async with bot_with(repo, tmp_path, approvals=1, refs=["main", "release/*"]) as bot:
        number = await bot.ask("deploy shop@release/1 to production")
        repo.branch("main", "release/1")
        assert (await bot.say(f"approve #{number}", "ben")).ok
        assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_what_ran_well_there_may_come_back_though_its_tag_and_the_repository_are_gone(
    bot: BotUnderTest, repo: Repo
) -> None:
    first = repo.tag("v1")
    await succeeds(bot, "deploy shop@v1 to production")
    second = repo.commit({"a": "2"})
    await succeeds(bot, "deploy shop@main to production")
    repo.delete("refs/tags/v1")
    repo.branch("other", second)
    repo.delete("refs/heads/main")
    assert not (await bot.say(f"deploy shop@{first} to production")).ok, "a deployment is no way back"
    moved = repo.path.rename(repo.path.with_suffix(".away"))
    await succeeds(bot, "rollback shop from production")
    assert bot.current() == {first}
    moved.rename(repo.path)


async def test_a_rollback_to_what_never_ran_there_keeps_to_refs(bot: BotUnderTest, repo: Repo) -> None:
    evil = repo.commit({"a": "evil"}, branch="evil")
    await succeeds(bot, "deploy shop@main to production")
    card = await bot.say(f"rollback shop from production to {evil}")
    assert card.title == f"{ONLY}branch evil."


async def test_a_repository_that_does_not_answer_lets_nothing_in(bot: BotUnderTest, repo: Repo) -> None:
    commit = repo.sha("main")
    await succeeds(bot, f"deploy shop@{commit} to production")
    repo.path.rename(repo.path.with_suffix(".away"))
    card = await bot.say(f"deploy shop@{commit} to production")
    assert not card.ok
    assert "cannot be reached" in card.title


async def test_a_request_of_before_refs_existed_is_judged_by_what_the_repository_says_now(
    tmp_path: Path, repo: Repo
) -> None:
    async with bot_with(repo, tmp_path, approvals=1) as bot:
        number = await bot.ask("deploy shop@main to production")
        assert (await bot.request_of(number)).binding.origin == ()
        limited = shop_settings(bot.settings.bot.data, approvals=1, refs=PRODUCTION)
        limited.apps["shop"].__dict__["repo"] = repo.url
        await bot.restart(limited)
        assert (await bot.say(f"approve #{number}", "ben")).ok
        assert (await bot.end_of(number)).state is State.SUCCEEDED


def key(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
    return path


def sign(repo: Repo, by: Path, name: str, at: str) -> None:
    repo.git("-c", "gpg.format=ssh", "-c", f"user.signingkey={by}", "tag", "-s", "-f", "-m", name, name, at)


@pytest.mark.needs("ssh-keygen")
async def test_only_what_a_listed_person_signed_is_deployed(tmp_path: Path, repo: Repo) -> None:
    ana, eve = key(tmp_path, "ana"), key(tmp_path, "eve")
    signers = {"ana": Signer(ssh=(ana.with_suffix(".pub").read_text(),))}
    first = repo.sha("main")
    async with bot_with(repo, tmp_path, signers, approvals=1, refs=["main"]) as bot:
        card = await bot.say("deploy shop@main to production")
        assert card.title == "Only signed commits may be deployed to shop/production: the commit has no signature."
        sign(repo, eve, "v1", first)
        assert "does not list" in (await bot.say("deploy shop@v1 to production")).title
        assert not (await bot.say("deploy shop@v1 to production --break-glass because we must", "dia")).ok
        sign(repo, ana, "v1", first)
        number = await bot.ask("deploy shop@main to production")
        binding = (await bot.request_of(number)).binding
        assert binding.origin == (("ref", "branch main"), ("signature", "ana on tag v1"))
        sign(repo, eve, "v1", first)
        assert not (await bot.say(f"approve #{number}", "ben")).ok
        assert "signature: was ana on tag v1, now none that counts" in (await bot.deployment(number)).outcome
        sign(repo, ana, "v1", first)
        number = await bot.ask("deploy shop@main to production")
        assert (await bot.say(f"approve #{number}", "ben")).ok
        assert (await bot.end_of(number)).state is State.SUCCEEDED


def test_bindings_of_before_are_read() -> None:
    """What was kept by the version before has no origin, and compares as it did."""
    made = Binding(ref="main", release=Release.of_commit("a" * 40), config=(), replaces=(), steps=())
    text = encode(made).replace('"origin":[],', "")
    assert "origin" not in text
    old = decode(Binding, text)
    assert differences(old, replace(old, origin=(("ref", "branch main"),))) == ()
