"""What approvals are bound to, and the page that compares two commits; pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given

from deploybot.deployments import approvals
from deploybot.deployments.compare_links import compare_url
from deploybot.deployments.fingerprint import binding_of, config_of, differences, steps_text
from deploybot.domain import (
    ArtifactSource,
    Channel,
    Effect,
    EffectKind,
    Gate,
    ImagesSource,
    Kind,
    Origin,
    Pin,
    Plan,
    Release,
    ServerPlan,
    Step,
)
from deploybot.settings import Secret
from tests.any_release import RELEASES
from tests.kit.bot import V1, V2, V3, shop_settings
from tests.kit.settings import bot_settings

OLD, NEW = "a" * 40, "b" * 40
SETTINGS = shop_settings(Path("/nonexistent"), approvals=1)
FETCH = Step(name="fetch", script="fetch", timeout=60)
SWITCH = Step(name="switch", script="switch", env=(("A", "1"),), secrets=("TOKEN",), timeout=60, switches=True)
PART = ServerPlan(
    server="web1", steps=(FETCH, SWITCH), gate=Gate(kind="http", target="http://x/"), replaces=V1, restore=(SWITCH,)
)
PLAN = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V2, servers=(PART,))


def changed(plan: Plan, release: Release | None = None) -> tuple[str, ...]:
    return differences(binding_of(PLAN, SETTINGS, ref="main"), binding_of(plan, SETTINGS, ref="main", release=release))


def test_the_same_is_the_same_and_its_digest_too() -> None:
    one, two = (binding_of(PLAN, SETTINGS, ref="main") for _ in range(2))
    assert one == two
    assert (len(one.digest), differences(one, two)) == (64, ())


def test_what_only_brings_files_there_is_no_part_of_it() -> None:
    assert changed(replace(PLAN, servers=(replace(PART, steps=(SWITCH,), cleanup=(FETCH,)),))) == ()
    assert changed(replace(PLAN, warnings=("disk is nearly full",))) == ()


def test_every_part_is_reported() -> None:
    assert changed(PLAN, V3) == ("release: `main` was 2222222222, now 3333333333",)
    assert changed(replace(PLAN, servers=(replace(PART, replaces=None),))) == (
        "what it replaces: web1 was 1111111111, now nothing",
    )
    more = changed(replace(PLAN, servers=(PART, replace(PART, server="web2"))))
    assert 'config: servers.web2.ssh was not there, now "deploy@web2"' in more
    assert more[-1] == "what it replaces: web2 was not there, now 1111111111"


@pytest.mark.parametrize(
    "part",
    [
        replace(PART, steps=(FETCH, replace(SWITCH, env=(("A", "2"),)))),
        replace(PART, steps=(FETCH, replace(SWITCH, timeout=61))),
        replace(PART, steps=(FETCH, SWITCH, SWITCH)),
        replace(PART, restore=()),
        replace(PART, gate=None),
        replace(PART, gate=Gate(kind="http", target="http://x/", status=204)),
    ],
)
def test_steps_are_bound_with_all_their_values(part: ServerPlan) -> None:
    assert changed(replace(PLAN, servers=(part,))) == ("steps: web1 would run other steps than those shown",)


def test_the_rules_about_approvals_and_secrets_values_are_no_part_of_it() -> None:
    other = shop_settings(
        Path("/nonexistent"), approvals=2, approvers=["@ben", "@cem"], approval_within="1h", after="staging"
    )
    other.apps["shop"].secrets["TOKEN"]._value = "another"
    assert config_of(PLAN, other) == config_of(PLAN, SETTINGS)
    assert not [value for _, value in config_of(PLAN, SETTINGS) if "correct-horse" in value]
    assert dict(config_of(PLAN, SETTINGS))["apps.shop.secrets"] == '{"TOKEN": {"env": "TOKEN"}}'
    assert config_of(replace(PLAN, app="blog"), SETTINGS) == ()
    assert config_of(replace(PLAN, environment="live"), SETTINGS) == ()


def test_a_secret_is_bound_to_where_it_comes_from_whatever_that_is() -> None:
    settings = shop_settings(Path("/nonexistent"))
    settings.apps["shop"].secrets["TOKEN"] = Secret(file=Path("/etc/deploybot/token"))
    assert dict(config_of(PLAN, settings))["apps.shop.secrets"] == '{"TOKEN": {"file": "/etc/deploybot/token"}}'


ON_MAIN = Origin(ref="branch main", signature="ana on tag v1")


def test_what_let_a_commit_in_is_part_of_it() -> None:
    old = binding_of(replace(PLAN, origin=ON_MAIN), SETTINGS, ref="main")
    assert old.origin == (("ref", "branch main"), ("signature", "ana on tag v1"))

    def since(origin: Origin | None) -> tuple[str, ...]:
        return differences(old, binding_of(replace(PLAN, origin=origin), SETTINGS, ref="main"))

    assert since(ON_MAIN) == ()
    assert since(replace(ON_MAIN, ref="tag v1 on main")) == ("ref: was branch main, now tag v1 on main",)
    assert since(replace(ON_MAIN, signature="", unsigned="the commit has no signature")) == (
        "signature: was ana on tag v1, now none that counts",
    )
    assert since(None) == (), "a limit that bot.toml dropped voids nothing"
    assert changed(replace(PLAN, origin=ON_MAIN)) == (), "a limit that bot.toml added is for the policy to judge"


def test_which_services_go_is_part_of_it_and_which_come_is_not() -> None:
    def with_effects(*effects: Effect) -> tuple[str, ...]:
        return changed(replace(PLAN, servers=(replace(PART, effects=effects),)))

    gone, new = Effect("worker", EffectKind.REMOVED), Effect("web", EffectKind.NEW)
    assert with_effects(new) == ()
    assert with_effects(new, gone) == ("steps: web1 would run other steps than those shown",)
    one = replace(PLAN, servers=(replace(PART, effects=(gone,)),))
    other = replace(PLAN, servers=(replace(PART, effects=(Effect("cache", EffectKind.REMOVED),)),))
    assert differences(binding_of(one, SETTINGS, ref=None), binding_of(other, SETTINGS, ref=None))


def test_requests_from_before_removals_were_bound_are_still_the_same() -> None:
    """Where no service goes, the digest of a server's steps has nothing about services in it, nor about tasks."""
    since = {"task", "ahead"}
    steps = [{key: value for key, value in asdict(one).items() if key not in since} for one in (SWITCH, SWITCH)]
    assert PART.gate
    canonical = json.dumps([steps, asdict(PART.gate)], sort_keys=True, separators=(",", ":"))
    ((_, text),) = binding_of(PLAN, SETTINGS, ref=None).steps
    assert text.endswith(f" [{hashlib.sha256(canonical.encode()).hexdigest()}]")


def test_servers_on_the_way_are_part_of_it() -> None:
    settings = shop_settings(Path("/nonexistent"))
    settings.servers["web1"].__dict__["jump"] = "web2"
    settings.servers["web2"].__dict__["jump"] = "web1"
    keys = {key for key, _ in config_of(PLAN, settings)}
    assert {"servers.web1.ssh", "servers.web2.ssh"} <= keys
    assert "servers.web2.ssh" not in dict(config_of(PLAN, SETTINGS))


def test_a_task_is_bound_to_its_command() -> None:
    task = replace(PLAN, kind=Kind.TASK, task="migrate", servers=(replace(PART, steps=(FETCH,)),))
    assert dict(config_of(task, SETTINGS))["apps.shop.tasks.migrate"] == '"./migrate"'
    assert steps_text(task, task.servers[0]).startswith("fetch (at most 1 min)")
    assert dict(config_of(replace(task, task="gone"), SETTINGS))["apps.shop.tasks.gone"] == '""'


def test_long_values_are_cut() -> None:
    old, new = (binding_of(PLAN, SETTINGS, ref=None) for _ in range(2))
    new = replace(new, config=(("apps.shop.restart", '"' + "x" * 100 + '"'),))
    old = replace(old, config=())
    assert differences(old, new) == (f'config: apps.shop.restart was not there, now "{"x" * 58}…',)


def test_a_release_is_a_release_without_a_name() -> None:
    plan = replace(PLAN, release=Release.of_commit(NEW))
    assert binding_of(plan, SETTINGS, ref=None).release == Release.of_commit(NEW)


def test_the_digest_covers_all_of_it_and_can_be_computed_by_others() -> None:
    binding = binding_of(PLAN, SETTINGS, ref="main")
    canonical = json.dumps(asdict(replace(binding, digest="")), sort_keys=True, separators=(",", ":"))
    assert binding.digest == hashlib.sha256(canonical.encode()).hexdigest()


def test_the_order_in_which_bot_toml_says_something_does_not_matter() -> None:
    one, other = shop_settings(Path("/nonexistent")), shop_settings(Path("/nonexistent"))
    one.apps["shop"].__dict__["env"] = {"A": "1", "B": "2"}
    other.apps["shop"].__dict__["env"] = {"B": "2", "A": "1"}
    assert config_of(PLAN, one) == config_of(PLAN, other)
    keys = [key for key, _ in config_of(PLAN, one)]
    assert keys == sorted(keys)
    assert "apps.shop.environments.production.on_failure" in keys


def test_only_a_task_is_bound_to_a_task() -> None:
    assert not [key for key, _ in config_of(PLAN, SETTINGS) if ".tasks." in key]


def test_values_are_reported_as_people_wrote_them() -> None:
    settings = shop_settings(Path("/nonexistent"))
    settings.apps["shop"].__dict__.update(restart="./zurück", output=Path("/srv/out"), build=Channel("slack", "C1"))
    config = dict(config_of(PLAN, settings))
    assert config["apps.shop.restart"] == '"./zurück"'
    assert config["apps.shop.output"] == '"/srv/out"'
    assert config["apps.shop.build"] == f'"{Channel("slack", "C1")}"'


def test_a_value_that_cannot_be_compared_is_no_part_of_it_in_silence() -> None:
    settings = shop_settings(Path("/nonexistent"))
    settings.apps["shop"].__dict__["restart"] = object()
    with pytest.raises(TypeError, match=r"^object is not allowed in a fingerprint$"):
        config_of(PLAN, settings)


def test_steps_are_reported_in_their_order_with_the_gate_and_the_way_back() -> None:
    part = replace(PART, steps=(FETCH, SWITCH, SWITCH), restore=(SWITCH, replace(FETCH, name="clean")))
    assert steps_text(PLAN, part) == (
        "switch (at most 1 min) → switch (at most 1 min) → health: http http://x/ within 1 min; "
        "if it fails: switch (at most 1 min), clean (at most 1 min)"
    )
    assert steps_text(PLAN, replace(PART, gate=None, restore=())) == "switch (at most 1 min)"


def test_a_ref_that_nobody_typed_or_that_is_gone_is_reported() -> None:
    old = binding_of(PLAN, SETTINGS, ref="")
    assert differences(old, replace(old, release=V3.bare())) == (
        "release: the newest of the branch was 2222222222, now 3333333333",
    )
    release = V2.with_images([Pin("web", "acme/shop", "1.4", "sha256:a")])
    pinned = replace(binding_of(PLAN, SETTINGS, ref="main"), release=release)
    assert differences(pinned, replace(pinned, release=None)) == ("release: `main` was 2222222222, now gone",)


WEB = Pin("web", "acme/shop", "1.4", f"sha256:{'1' * 64}")
NEW_WEB = replace(WEB, tag="1.5", digest=f"sha256:{'2' * 64}")
FILE = Release(ArtifactSource("a" * 64), "v3")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (FILE, replace(FILE, ref="latest"), ()),
        (FILE, Release(ArtifactSource("b" * 64)), ("release: `x` was artifact-aaaaaaaaaa, now artifact-bbbbbbbbbb",)),
        (FILE, V2, ("release: `x` was artifact-aaaaaaaaaa, now 2222222222",)),
        (FILE, None, ("release: `x` was artifact-aaaaaaaaaa, now gone",)),
        (
            Release(ImagesSource((WEB,))),
            Release(ImagesSource((NEW_WEB,))),
            ("image: web was 1.4 sha256:1111111111, now 1.5 sha256:2222222222",),
        ),
        (
            V2.with_images([WEB]),
            V3.with_images([NEW_WEB]),
            (
                "release: `x` was 2222222222, now 3333333333",
                "image: web was 1.4 sha256:1111111111, now 1.5 sha256:2222222222",
            ),
        ),
        # Of images that are unknown, only the id can differ.
        (V2.with_images([WEB]), Release.by_id(V2.with_images([WEB]).id), ()),
        (
            Release.by_id(f"{V2.id}-{'a' * 12}"),
            Release.by_id(f"{V2.id}-{'b' * 12}"),
            ("release: `x` was 2222222222-aaaaaa, now 2222222222-bbbbbb",),
        ),
    ],
)
def test_whatever_a_release_is_made_of_is_bound(old: Release, new: Release | None, told: tuple[str, ...]) -> None:
    one = binding_of(replace(PLAN, release=old), SETTINGS, ref="x")
    assert differences(one, replace(one, release=new)) == told


@given(RELEASES, RELEASES)
def test_two_bindings_match_only_if_the_releases_do(one: Release, other: Release) -> None:
    bound = binding_of(replace(PLAN, release=one), SETTINGS, ref="x")
    assert bool(differences(bound, replace(bound, release=other.bare()))) is (one.id != other.id)


def test_only_two_commits_have_a_page_that_compares_them() -> None:
    def page(old: Release, new: Release) -> str:
        plan = replace(PLAN, release=new, servers=(replace(PART, replaces=None), replace(PART, replaces=old)))
        return approvals._compare("git@github.com:acme/shop.git", plan)

    assert page(V1, V2) == f"https://github.com/acme/shop/compare/{V1.id}...{V2.id}"
    assert [page(V1, FILE), page(FILE, V1), page(FILE, FILE), page(V1.with_images([WEB]), V1)] == [""] * 4
    assert approvals._compare("git@github.com:acme/shop.git", replace(PLAN, servers=())) == ""


def test_differences_are_reported_in_order_and_uncut_up_to_sixty_characters() -> None:
    old = replace(binding_of(PLAN, SETTINGS, ref=None), config=(("b", "x" * 60), ("c", "1"), ("a", "y" * 61)))
    assert differences(old, replace(old, config=())) == (
        f"config: a was {'y' * 59}…, now not there",
        f"config: b was {'x' * 60}, now not there",
        "config: c was 1, now not there",
    )


@pytest.mark.parametrize(
    ("repo", "page"),
    [
        ("git@github.com:acme/shop.git", f"https://github.com/acme/shop/compare/{OLD}...{NEW}"),
        ("https://user:token@github.com/acme/shop", f"https://github.com/acme/shop/compare/{OLD}...{NEW}"),
        ("ssh://git@gitlab.com:22/a/b/c.git", f"https://gitlab.com/a/b/c/-/compare/{OLD}...{NEW}"),
        ("git@gitlab.example.com:a/b.git", f"https://gitlab.example.com/a/b/-/compare/{OLD}...{NEW}"),
        ("git@bitbucket.org:a/b.git", f"https://bitbucket.org/a/b/branches/compare/{NEW}%0D{OLD}"),
        ("https://codeberg.org/a/b.git", f"https://codeberg.org/a/b/compare/{OLD}...{NEW}"),
        ("git@forgejo.example.com:a/b.git", f"https://forgejo.example.com/a/b/compare/{OLD}...{NEW}"),
        ("git@example.com:a/b.git", ""),
        ("/srv/git/shop.git", ""),
        ("git@github.com:shop.git", ""),
        ("git@github.com:a/b<c>.git", ""),
    ],
)
def test_pages_that_compare(repo: str, page: str) -> None:
    assert compare_url(repo, OLD, NEW) == page
    assert compare_url(repo, "", NEW) == ""


def test_what_compose_reads_on_a_server_is_part_of_it() -> None:
    settings = bot_settings(
        servers=("web1", "web2"), apps={"web": {"repo": None, "strategy": "compose", "directory": "/srv/web"}}
    )
    parts = tuple(
        replace(PART, server=name, configuration=digit * 64) for name, digit in (("web1", "a"), ("web2", "b"))
    )
    plan = replace(PLAN, app="web", release=Release.of_images((Pin("web", "w", "1", "sha256:1"),)), servers=parts)
    old = binding_of(plan, settings, ref=None)
    assert ("Compose files in /srv/web on web1", "a" * 12) in old.config
    other = replace(plan, servers=(replace(parts[0], configuration="c" * 64), parts[1]))
    assert differences(old, binding_of(other, settings, ref=None)) == (
        "Compose files in /srv/web on web1 were changed: Compose read aaaaaaaaaaaa, now cccccccccccc",
    )
    assert differences(old, replace(old, config=config_of(plan, settings))) == ()
    fewer = binding_of(replace(plan, servers=parts[:1], down=("web2",)), settings, ref=None)
    assert differences(old, fewer, down=("web2",)) == (), "a server that is left out changes nothing"
