"""Who pushed an image, and who wrote a change, by rows alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.autodeploy.watched_sources import IMAGES
from deploybot.deployments.originators import authors_of, late_givers_of, originators_of, unknown_cause
from deploybot.domain import (
    ArtifactSource,
    Author,
    AutoRule,
    Changes,
    CommitAuthor,
    Deployment,
    Identity,
    Kind,
    Pin,
    Plan,
    Release,
    ServerPlan,
    State,
    Trigger,
    image_key,
    ref_key,
    release_key,
)
from deploybot.ports import Tables
from deploybot.testing import memory_store

OLD, NEW, OTHER = (f"sha256:{letter * 64}" for letter in "abc")
ANA, CI, CEM = Identity("github", "1"), Identity("github", "2"), Identity("github", "3")
NOBODY_REPORTED = "no webhook reported who triggered it"


def pin(service: str, digest: str) -> Pin:
    return Pin(service, f"ghcr.io/acme/{service}", "1", digest)


def plan(*pins: Pin, before: Release | None = None, **more: object) -> Plan:
    servers = (ServerPlan(server="web1", replaces=before, steps=()),)
    made = Plan(
        kind=Kind.DEPLOY,
        app="shop",
        environment="production",
        release=Release.of_commit("1" * 40, images=pins),
        servers=servers,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def deployment(
    tables: Tables,
    of: Plan,
    *,
    rule: AutoRule = AutoRule.IMAGE,
    source: str = IMAGES,
    environment: str = "production",
    made: float = 0.0,
) -> Deployment:
    """Return a waiting deployment with its trigger."""
    trigger = tables.triggers.add(
        Trigger(
            app="shop",
            environment=environment,
            rule=rule,
            source=source,
            commit=of.release.id,
            release="r",
            ref="",
            why="",
            made=made,
        )
    )
    return Deployment(
        number=1, plan=of, state=State.WAITING, requester=1, requester_name="deploybot", trigger=trigger.number
    )


async def test_who_pushed_each_new_image_under_its_tag_is_known() -> None:
    async with memory_store() as store:

        def look(tables: Tables) -> None:
            ana = tables.people.add("ana", ANA)
            before = Release.of_commit("1" * 40, images=(pin("web", OLD), pin("worker", OTHER)))
            one = deployment(tables, plan(pin("web", NEW), pin("worker", OTHER), before=before))
            assert unknown_cause(tables, one) == NOBODY_REPORTED
            assert originators_of(tables, one) == ()
            tables.triggers.put_author("shop", NEW, Author("Ana", ANA), 1.0)
            assert unknown_cause(tables, one), "the digest alone may have been pushed under another tag"
            tables.triggers.put_author("shop", image_key("GHCR.io/acme/web", "1", NEW), Author("Ana", ANA), 1.0)
            assert unknown_cause(tables, one) == "", "what stays was brought by nobody now"
            assert originators_of(tables, one) == (ana.id,)
            tables.triggers.put_author("shop", image_key("ghcr.io/acme/web", "1", NEW), Author("", CI), 2.0)
            assert unknown_cause(tables, one) == "somebody triggered it from an unknown account"

        await store.write(look)


async def test_of_a_push_without_a_commit_the_cause_is_unknown() -> None:
    async with memory_store() as store:

        def look(tables: Tables) -> None:
            tables.people.add("ana", ANA)
            one = deployment(
                tables, plan(release=Release(ArtifactSource("a" * 64))), rule=AutoRule.BRANCH, source="heads/main"
            )
            tables.triggers.put_author("shop", ref_key("heads/main", "1" * 40), Author("Ana", ANA), 1.0)
            assert unknown_cause(tables, one) == "no webhook reported who triggered it"
            assert originators_of(tables, one) == ()

        await store.write(look)


async def test_of_what_a_person_asked_for_the_cause_is_known() -> None:
    async with memory_store() as store:

        def look(tables: Tables) -> None:
            asked = replace(deployment(tables, plan()), trigger=0)
            assert (unknown_cause(tables, asked), originators_of(tables, asked)) == ("", ())
            assert unknown_cause(tables, replace(asked, trigger=99)) == ""

        await store.write(look)


ADA = CommitAuthor("Ada", "ada@example.com")


def changes(*authors: CommitAuthor) -> Changes:
    return Changes(total=len(authors), authors=authors)


@pytest.mark.parametrize(
    ("email", "person"),
    [
        ("ana@example.com", "ana"),
        ("Ana@Example.COM", "ana"),
        ("1+ana@users.noreply.github.com", "ana"),
        ("7-ana@users.noreply.gitlab.com", "ana"),
        ("1+ana@users.noreply.github.com.evil.example", ""),
        ("x1+ana@users.noreply.github.com", ""),
        ("2+ana@users.noreply.github.com", ""),
        ("ana@elsewhere.example", ""),
    ],
)
async def test_whose_a_commits_address_is(email: str, person: str) -> None:
    async with memory_store() as store:

        def look(tables: Tables) -> None:
            ana = tables.people.add("ana", ANA)
            for identity in (Identity("git", "ana@example.com"), Identity("gitlab", "7")):
                tables.people.link(ana.id, identity)
            author = CommitAuthor("Ana", email)
            found, unknown = authors_of(tables, plan(changes=changes(author)))
            assert found == ((ana.id,) if person else ())
            assert unknown == ("" if person else f"Ana <{email}> wrote part of it from an unknown address")

        await store.write(look)


async def test_what_is_not_known_of_the_authors() -> None:
    async with memory_store() as store:

        def look(tables: Tables) -> None:
            not_known = ((), "the authors of the change are unknown")
            assert authors_of(tables, plan(changes=Changes(total=3))) == not_known
            assert authors_of(tables, plan(changes=Changes(known=False))) == not_known
            assert authors_of(tables, plan(changes=Changes())) == ((), "")
            assert authors_of(tables, plan(changes=Changes(total=3), kind=Kind.TASK)) == ((), "")
            assert authors_of(tables, plan(changes=Changes(total=3), kind=Kind.ROLLBACK)) == not_known
            several = tuple(
                ServerPlan(server=name, replaces=Release.of_commit(name[-1] * 40), steps=())
                for name in ("web1", "web2")
            )
            assert authors_of(tables, plan(changes=changes(ADA), servers=several)) == not_known
            many = [CommitAuthor(f"P{number}", f"p{number}@example.com") for number in range(5)]
            _, unknown = authors_of(tables, plan(changes=changes(*many)))
            assert unknown.endswith("P2 <p2@example.com> and 2 more wrote part of it from an unknown address")

        await store.write(look)


async def test_a_push_counts_only_for_its_commit_on_its_branch() -> None:
    async with memory_store() as store:

        def look(tables: Tables) -> None:
            ana = tables.people.add("ana", ANA)
            one = deployment(tables, plan(), rule=AutoRule.BRANCH, source="heads/main")
            commit = one.plan.release.id.partition("-")[0]
            for elsewhere in (ref_key("heads/other", commit), ref_key("heads/main", "2" * 40)):
                tables.triggers.put_author("shop", elsewhere, Author("Ana", ANA), 1.0)
            assert (unknown_cause(tables, one), originators_of(tables, one)) == (NOBODY_REPORTED, ())
            tables.triggers.put_author("blog", ref_key("heads/main", commit), Author("Ana", ANA), 1.0)
            assert unknown_cause(tables, one) == NOBODY_REPORTED, "that was another app"
            tables.triggers.put_author("shop", ref_key("heads/main", commit), Author("Ana", ANA), 1.0)
            assert (unknown_cause(tables, one), originators_of(tables, one)) == ("", (ana.id,))

        await store.write(look)


async def test_everybody_who_is_behind_it_is_found_once_and_none_of_them_may_be_unknown() -> None:
    """The push, the published release, the commit and the image may each be somebody else's."""
    async with memory_store() as store:

        def look(tables: Tables) -> None:
            ana, ben = tables.people.add("ana", ANA), tables.people.add("ben", CI)
            one = deployment(tables, plan(pin("web", NEW)), rule=AutoRule.TAG, source="tags/v1")
            commit = one.plan.release.id.partition("-")[0]
            tables.triggers.put_author("shop", ref_key("tags/v1", commit), Author("Ana", ANA), 1.0)
            tables.triggers.put_author("shop", commit, Author("Ana", ANA), 1.0)
            tables.triggers.put_author("shop", "tags/v1", Author("Ben", CI), 1.0)
            assert unknown_cause(tables, one) == ""
            assert sorted(originators_of(tables, one)) == [ana.id, ben.id]
            tables.triggers.put_author("shop", NEW, Author("Cem", CEM), 1.0)
            cem = tables.people.add("cem", CEM)
            assert sorted(originators_of(tables, one)) == [ana.id, ben.id, cem.id]
            for name in ("Zed", "Yan", "Xia", "Wim", "Zed"):
                tables.triggers.put_author("shop", "tags/v1", Author(name, Identity("github", f"9{name}")), 2.0)
            assert unknown_cause(tables, one).endswith(" and 1 more triggered it from an unknown account")
            assert sorted(originators_of(tables, one)) == [ana.id, ben.id, cem.id], "nobody is guessed"

        await store.write(look)


async def test_a_release_needs_its_publisher_and_its_tagger() -> None:
    async with memory_store() as store:

        def look(tables: Tables) -> None:
            ana, ben = tables.people.add("ana", ANA), tables.people.add("ben", CI)
            one = deployment(tables, plan(), rule=AutoRule.RELEASE, source="tags/v1")
            tag, release = ref_key("tags/v1", "1" * 40), release_key("tags/v1")
            tables.triggers.put_author("shop", release, Author("Ben", CI), 1.0)
            assert (unknown_cause(tables, one), originators_of(tables, one)) == (NOBODY_REPORTED, (ben.id,))
            tables.triggers.put_author("shop", tag, Author("Ana", ANA), 1.0)
            assert (unknown_cause(tables, one), originators_of(tables, one)) == ("", (ana.id, ben.id))
            tables.triggers.put_author("shop", release, Author(), 2.0)
            assert unknown_cause(tables, one) == NOBODY_REPORTED, "somebody else published it, too"
            tables.triggers.put_author("shop", release, Author("Zed"), 3.0)
            assert unknown_cause(tables, one) == "Zed triggered it from an unknown account"
            tagged = deployment(tables, plan(), rule=AutoRule.TAG, source="tags/v1", environment="staging")
            assert (unknown_cause(tables, tagged), originators_of(tables, tagged)) == ("", (ana.id,))

        await store.write(look)


async def test_who_gave_an_account_after_it_was_triggered() -> None:
    async with memory_store() as store:

        def look(tables: Tables) -> None:
            dia, gus, eve = (tables.people.add(name) for name in ("dia", "gus", "eve"))
            tables.people.link(eve.id, ANA, by="dia", givers=(dia.id,), now=1.0)
            one = deployment(tables, plan(), rule=AutoRule.BRANCH, source="heads/main", made=2.0)
            tables.triggers.put_author("shop", ref_key("heads/main", "1" * 40), Author("Eve", ANA), 2.0)
            assert late_givers_of(tables, one) == (), "she had it before"
            assert late_givers_of(tables, replace(one, trigger=0)) == ()
            tables.people.detach(ANA)
            tables.people.link(eve.id, ANA, by="gus and dia", givers=(gus.id, dia.id), now=2.0)
            assert late_givers_of(tables, one) == (gus.id, dia.id)
            assert originators_of(tables, one) == (eve.id,)
            tables.triggers.put_author("shop", ref_key("heads/main", "1" * 40), Author("Cem"), 2.0)
            tables.triggers.put_author("shop", ref_key("heads/main", "1" * 40), Author("Zed", CEM), 2.0)
            assert late_givers_of(tables, one) == (gus.id, dia.id), "of the others there is no account"
            tables.people.detach(ANA)
            assert late_givers_of(tables, one) == (), "nobody's account is unknown"
            tables.people.link(eve.id, ANA, by="the command line", now=3.0)
            assert late_givers_of(tables, one) == ()

        await store.write(look)


async def test_an_account_that_was_given_after_the_deployment_is_late_whatever_the_clock_shows() -> None:
    async with memory_store() as store:

        def look(tables: Tables) -> None:
            dia, eve = tables.people.add("dia"), tables.people.add("eve")
            of = plan()
            one = deployment(tables, of, rule=AutoRule.BRANCH, source="heads/main", made=100.0)
            tables.triggers.put_author("shop", ref_key("heads/main", "1" * 40), Author("Eve", ANA), 2.0)
            tables.people.link(eve.id, ANA, by="dia", givers=(dia.id,), now=50.0)
            assert late_givers_of(tables, one) == ()
            tables.people.detach(ANA)
            made = tables.deployments.add(of, requester=dia, reason="", channel=None, now=100.0)
            assert made.number == one.number
            tables.people.link(eve.id, ANA, by="dia", givers=(dia.id,), now=50.0)
            assert late_givers_of(tables, one) == (dia.id,)
            assert late_givers_of(tables, replace(one, number=2)) == (), "that one came later"

        await store.write(look)


async def test_a_name_without_an_account_is_nobody_known() -> None:
    async with memory_store() as store:

        def look(tables: Tables) -> None:
            tables.people.add("ana", ANA)
            one = deployment(tables, plan(), rule=AutoRule.BRANCH, source="heads/main")
            tables.triggers.put_author(
                "shop", ref_key("heads/main", one.plan.release.id.partition("-")[0]), Author("ana"), 1.0
            )
            assert unknown_cause(tables, one) == "ana triggered it from an unknown account"
            assert originators_of(tables, one) == ()

        await store.write(look)


async def test_each_new_image_has_to_be_reported() -> None:
    async with memory_store() as store:

        def look(tables: Tables) -> None:
            tables.people.add("ana", ANA)
            one = deployment(tables, plan(pin("web", NEW), pin("worker", OTHER)))
            tables.triggers.put_author("shop", image_key("ghcr.io/acme/web", "1", NEW), Author("Ana", ANA), 1.0)
            assert unknown_cause(tables, one) == NOBODY_REPORTED
            tables.triggers.put_author("shop", image_key("ghcr.io/acme/worker", "1", OTHER), Author("Ana", ANA), 1.0)
            assert unknown_cause(tables, one) == ""

        await store.write(look)


async def test_known_and_unknown_authors_of_a_change_are_both_reported() -> None:
    async with memory_store() as store:

        def look(tables: Tables) -> None:
            ana = tables.people.add("ana", ANA)
            tables.people.link(ana.id, Identity("git", "ana@example.com"))
            mine = CommitAuthor("Ana", "ana@example.com")
            other = CommitAuthor("Ana elsewhere", "1+ana@users.noreply.github.com")
            assert authors_of(tables, plan(changes=changes(mine, other, mine))) == ((ana.id,), "")
            found, unknown = authors_of(tables, plan(changes=changes(ADA, mine)))
            assert found == (ana.id,)
            assert unknown == "Ada <ada@example.com> wrote part of it from an unknown address"
            same = tuple(
                ServerPlan(server=name, replaces=Release.of_commit("3" * 40), steps=()) for name in ("web1", "web2")
            )
            assert authors_of(tables, plan(changes=changes(mine), servers=same)) == ((ana.id,), "")

        await store.write(look)


async def test_three_unknown_names_are_all_shown() -> None:
    async with memory_store() as store:

        def look(tables: Tables) -> None:
            three = [CommitAuthor(f"P{number}", f"p{number}@example.com") for number in range(3)]
            _, unknown = authors_of(tables, plan(changes=changes(*three)))
            assert unknown == (
                "P0 <p0@example.com>, P1 <p1@example.com>, P2 <p2@example.com> wrote part of it from an unknown address"
            )

        await store.write(look)
