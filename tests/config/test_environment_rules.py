"""Rules of an environment: approvals, the environment that comes before, refs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploybot.config import load
from tests.config.conftest import APP, SERVER, Write

PRODUCTION = "apps.shop.environments.production"


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("approvals = 21", ["approvals: should be at most 20, got 21"]),
        ("approvals = -1", ["approvals: should be at least 0, got -1"]),
        ('approvals = "two"', ['approvals: should be a whole number, got "two"']),
        (
            'approvers = "admin"\napproval_code = "totp"\napproval_within = "1h"\napprovals_exclude = "authors"',
            [
                f"{key}: has no effect without `approvals`: set it, too"
                for key in ("approvers", "approval_code", "approval_within", "approvals_exclude")
            ],
        ),
        ("rollback_approvals = 0", ["rollback_approvals: has no effect without `approvals`: set it, too"]),
        (
            "approvals = 1\ndefault = true",
            ["default: is not allowed with `approvals`: such an environment must always be named; remove it"],
        ),
        (
            "approvals = 2\nrollback_approvals = 3",
            ["rollback_approvals: should be at most `approvals`, which is 2: a deployment would need fewer"],
        ),
        (
            'approvals = 2\napprovers = ["@ana", "@ana"]',
            ["approvers: names 1 person, but 2 must approve"],
        ),
        (
            'approvals = 3\napprovers = ["@ana", "@ben"]',
            ["approvers: names 2 persons, but 3 must approve"],
        ),
        (
            'approvals = 1\napprovers = "deployer"',
            ['approvers: should be "approver", "admin", or names such as ["@ana", "@ben"], got "deployer"'],
        ),
        (
            'approvals = 1\napprovers = ["ana"]',
            ['approvers: should be "approver", "admin", or names such as ["@ana", "@ben"], got ["ana"]'],
        ),
        (
            "approvals = 1\napprovers = []",
            ['approvers: should be "approver", "admin", or names such as ["@ana", "@ben"], got an empty list'],
        ),
        ('approvals = 1\napproval_code = "sms"', ['approval_code: should be "totp", got "sms"']),
        ('after = "stagign"', ['after: unknown environment of shop: "stagign", did you mean "staging"?']),
        ('after = "production"', ["after: forms a cycle: production → production"]),
        ("aprovals = 1", ['aprovals: unknown key, did you mean "approvals"?']),
    ],
)
def test_rules_of_an_environment(problems: Callable[..., list[str]], keys: str, found: list[str]) -> None:
    staging = '[apps.shop.environments.staging]\nservers = ["web1"]\ndirectory = "/srv/staging"\n'
    text = f'{SERVER}{APP}{staging}[{PRODUCTION}]\nservers = ["web1"]\n{keys}\n'
    assert problems(text) == [f"{PRODUCTION}.{one}" for one in found]


def test_a_circle_is_reported_once(problems: Callable[..., list[str]]) -> None:
    places = "".join(
        f'[apps.shop.environments.{name}]\nservers = ["web1"]\ndirectory = "/srv/{name}"\nafter = "{after}"\n'
        for name, after in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"))
    )
    assert problems(f"{SERVER}{APP}{places}") == ["apps.shop.environments.a.after: forms a cycle: a → b → c → a"]


def test_good_rules_of_an_environment(write: Write) -> None:
    keys = 'approvals = 2\napprovers = ["@ana", "@ben"]\napproval_within = "30m"\napproval_code = "totp"\n'
    settings = load(write(f'{SERVER}{APP}[{PRODUCTION}]\nservers = ["web1"]\n{keys}'), {})
    production = settings.apps["shop"].environments["production"]
    assert (production.approvals, production.approvers) == (2, ("@ana", "@ben"))
    assert (production.approval_within, production.approval_code) == (1800.0, "totp")
