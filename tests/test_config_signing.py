"""bot.toml's `refs`, `signed` and `[signers]`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from deploybot.config import load
from deploybot.domain import Holding, Origin, RefRule, Signature, allowed_by
from deploybot.errors import ConfigError
from deploybot.settings import Settings, Signer

GOOD = (
    '[servers.web1]\nssh = "deploy@203.0.113.10"\nagent = true\n'
    '[apps.shop]\nrepo = "git@example.com:acme/shop.git"\nstrategy = "compose"\ndirectory = "/srv/shop"\n'
    '[apps.shop.environments.production]\nservers = ["web1"]\n'
)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIm+aGXaJpJuPDizobQ/nP0kxVnjDf6sVXUpFW4WK2Jc"
PLACE = "apps.shop.environments.production"


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], Settings]:
    """Return a function that reads a file's text after a good one."""

    def make(text: str) -> Settings:
        path = tmp_path / "bot.toml"
        path.write_text(GOOD + text)
        return load(path, {})

    return make


def rules(settings: Settings) -> tuple[RefRule, ...]:
    return settings.apps["shop"].environments["production"].refs


def test_refs_are_texts_and_tables(read: Callable[[str], Settings]) -> None:
    both, tag = RefRule(branch="main", tag="main"), RefRule(tag="v*", on="main")
    assert rules(read('refs = "main"\n')) == (both,)
    assert rules(read('refs = { tag = "v*", on = "main" }\n')) == (tag,)
    found = rules(read('refs = ["main", { tag = "v*", on = "main" }, { branch = "release/*" }, { tag = "rc" }]\n'))
    assert found == (both, tag, RefRule(branch="release/*"), RefRule(tag="rc"))
    assert [str(one) for one in found] == ["main", "tag v* on main", "branch release/*", "tag rc"]


def test_signers_have_keys_and_days(read: Callable[[str], Settings], tmp_path: Path) -> None:
    (tmp_path / "ana.asc").write_text("a key that everybody may read")
    text = f'signed = true\n[signers.ana]\nssh = "{KEY} ana@host"\ngpg = {{ file = "ana.asc" }}\nuntil = 2027-01-31\n'
    ana = read(text).signers["ana"]
    assert (ana.ssh, ana.until) == ((KEY,), dt.date(2027, 1, 31))
    assert ana.counts_on(dt.date(2027, 1, 31))
    assert not ana.counts_on(dt.date(2027, 2, 1))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("signed = true", f"{PLACE}.signed: requires signatures, but there are no signers: add [signers.NAME]"),
        ("refs = [3]", f"{PLACE}.refs[0]: should be a pattern such as"),
        ('refs = [{ tags = "v*" }]', f"{PLACE}.refs[0]: should be a pattern such as"),
        ('refs = [{ branch = "x", on = "main" }]', f"{PLACE}.refs[0]: should be a pattern such as"),
        ('refs = [{ tag = 3, on = "main" }]', f"{PLACE}.refs[0]: should be a pattern such as"),
        ('refs = ["-x"]', f"{PLACE}.refs[0]: should be a pattern such as"),
        ("[signers.ana]\nsince = 2026-01-01", "signers.ana: has no key: give ssh or gpg"),
        (f'[signers.ana]\nssh = "{KEY[:-8]}"', "signers.ana.ssh: should be a complete `ssh-ed25519` public key"),
        (f'[signers.ana]\nssh = "{KEY}"\nuntil = "2027-01-31"', "signers.ana.until: should be a date without quotes"),
        (f'[signers.ana]\nssh = "{KEY}"\nuntil = 2027-01-31T00:00:00', "signers.ana.until: should be a date without"),
        (
            f'[signers.ana]\nssh = "{KEY}"\nsince = 2027-02-01\nuntil = 2027-01-31',
            "signers.ana.until: is before `since`, 2027-02-01",
        ),
        (
            f'[signers.ana]\nssh = "{KEY}"\n[signers.ben]\nssh = "{KEY} other"',
            "signers.ben.ssh: has a key of signers.ana; keep it in one of them",
        ),
        (
            'refs = "main"\nauto = { branch = "develop" }',
            f"{PLACE}.auto.branch: deploys develop, which `refs` of this environment does not allow",
        ),
        ('refs = { branch = "main" }\nauto = { tag = "stable" }', f"{PLACE}.auto.tag: deploys stable, which `refs`"),
    ],
)
def test_each_mistake_has_its_sentence(read: Callable[[str], Settings], text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(f"{text}\n")
    assert [one for one in caught.value.problems if one.startswith(problem)], caught.value.problems


@pytest.mark.parametrize("auto", ['branch = "main"', 'branch = "release/*"', 'tag = "v*"'])
def test_what_auto_deploys_may_be_allowed(read: Callable[[str], Settings], auto: str) -> None:
    read(f'refs = ["main", {{ tag = "v*", on = "main" }}]\nauto = {{ {auto} }}\n')


TEXT, BRANCH, TAG = RefRule(branch="v*", tag="v*"), RefRule(branch="v*"), RefRule(tag="v*")
ON = RefRule(tag="v*", on="ma?n")


@pytest.mark.parametrize(
    ("rule", "holding", "by"),
    [
        (TEXT, Holding(("v1",)), "branch v1"),
        (TEXT, Holding((), ("v1",)), "tag v1"),
        (TEXT, Holding((), ("v1",), ("v1",)), ""),
        (TEXT, Holding(("v1/x",), ("w1",)), ""),
        (BRANCH, Holding((), ("v1",)), ""),
        (TAG, Holding(("v1",)), ""),
        (TAG, Holding((), ("v1",), ("v1",)), "tag v1"),
        (TAG, Holding((), ("w1", "v1")), "tag v1"),
        (TEXT, Holding((), ("v1", "v2"), ("v1",)), "tag v2"),
        (ON, Holding(("main",), ("w1", "v1")), "tag v1 on main"),
        (ON, Holding(("main",)), ""),
        (ON, Holding(("develop",), ("v1",)), ""),
        (ON, Holding(("develop", "main"), ("v1",)), "tag v1 on main"),
    ],
)
def test_what_a_rule_allows(rule: RefRule, holding: Holding, by: str) -> None:
    assert allowed_by([rule], holding) == by


def test_what_it_was_allowed_by_stays_as_long_as_it_holds() -> None:
    holding = Holding(("main", "v1"), ("v2",))
    every = [RefRule(branch="main"), TEXT]
    assert allowed_by(every, holding) == "branch main"
    assert allowed_by(every, holding, before="tag v2") == "tag v2"
    assert allowed_by(every, holding, before="tag v3") == "branch main"
    assert allowed_by([], holding, before="branch main") == ""


@pytest.mark.parametrize(
    ("holding", "text"),
    [
        (Holding(), "no branch and no tag"),
        (Holding(("main",)), "branch main"),
        (Holding(("main", "develop"), ("v1",)), "branch main, branch develop, tag v1"),
        (Holding(("main",), ("v1", "v2", "v3", "v4")), "branch main, tag v1, tag v2 and 2 more"),
    ],
)
def test_what_holds_a_commit_is_shown_by_its_first_names(holding: Holding, text: str) -> None:
    assert str(holding) == text


def test_a_signature_without_a_signer_is_none() -> None:
    assert str(Signature(by="ana", on="tag v1")) == "ana on tag v1"
    assert str(Signature(on="the commit", problem="the commit has no signature")) == ""


@pytest.mark.parametrize(
    ("origin", "text", "parts"),
    [
        (Origin(), "", ()),
        (Origin(ref="branch main"), "branch main", (("ref", "branch main"),)),
        (
            Origin(ref="branch main", signature="ana on the commit"),
            "branch main, signed by ana on the commit",
            (("ref", "branch main"), ("signature", "ana on the commit")),
        ),
        (
            Origin(found="branch evil", unsigned="the commit has no signature"),
            "",
            (("ref", "nothing that refs allow"), ("signature", "none that counts")),
        ),
        (Origin(ran=True), "ran here before", ()),
        (Origin(ref="branch main", ran=True), "ran here before", (("ref", "branch main"),)),
    ],
)
def test_an_approval_is_bound_to_what_let_the_commit_in(
    origin: Origin, text: str, parts: tuple[tuple[str, str], ...]
) -> None:
    assert (str(origin), origin.parts) == (text, parts)


def test_several_rules_allow_by_the_first_that_fits() -> None:
    holding = Holding(("main", "release/1"), ("v1",))
    rules = [RefRule(tag="v*", on="release/*"), RefRule(branch="main")]
    assert allowed_by(rules, holding) == "tag v1 on release/1"
    assert allowed_by(rules[::-1], holding) == "branch main"
    assert allowed_by([RefRule(tag="v*", on="*")], Holding(("a", "b"), ("v1",)), before="tag v1 on b") == "tag v1 on b"


def test_a_signer_counts_from_the_first_to_the_last_day() -> None:
    day = dt.date(2027, 1, 15)
    before, after = day - dt.timedelta(days=1), day + dt.timedelta(days=1)
    assert [Signer(since=day).counts_on(one) for one in (before, day, after)] == [False, True, True]
    assert [Signer(until=day).counts_on(one) for one in (before, day, after)] == [True, True, False]
    assert [Signer(since=day, until=day).counts_on(one) for one in (before, day, after)] == [False, True, False]
    assert Signer().counts_on(day)


def test_one_signer_may_have_several_keys_and_a_day_alone(read: Callable[[str], Settings]) -> None:
    """A key twice with one signer is no mistake, and `since` and `until` may be the same day."""
    days = "since = 2027-01-31\nuntil = 2027-01-31\n"
    assert read(f'signed = true\n[signers.ana]\nssh = ["{KEY}", "{KEY} again"]\n{days}').signers["ana"].ssh[0] == KEY


def test_signers_with_keys_of_their_own_are_fine(read: Callable[[str], Settings], tmp_path: Path) -> None:
    (tmp_path / "cem.asc").write_text("a key that everybody may read")
    other = KEY.replace("IIm", "IIn")
    text = (
        f'[signers.ana]\nssh = "{KEY}"\n[signers.ben]\nssh = "{other}"\n[signers.cem]\ngpg = {{ file = "cem.asc" }}\n'
    )
    assert set(read(f"signed = true\n{text}").signers) == {"ana", "ben", "cem"}


def test_where_refs_limit_nothing_auto_deploys_any_branch(read: Callable[[str], Settings]) -> None:
    assert rules(read('auto = { branch = "develop" }\n')) == ()


def test_a_branch_and_a_tag_of_auto_are_both_checked(read: Callable[[str], Settings]) -> None:
    text = 'refs = [{ branch = "main" }, { tag = "v1" }]\nauto = { branch = "v1", tag = "main" }\n'
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert [one.partition(",")[0] for one in caught.value.problems] == [
        f"{PLACE}.auto.branch: deploys v1",
        f"{PLACE}.auto.tag: deploys main",
    ]
