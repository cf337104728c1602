"""What is not understood is refused word for word, with what was probably meant."""

from __future__ import annotations

import pytest

from deploybot.errors import UsageError
from tests.parsing.reading import read, refusal

# What is not, word for word


USAGE_DEPLOY = (
    "Usage: deploy <app>[@<ref>] [to <env>[/<servers>]] [--dry-run] [--remove-orphans] [--at <when>] [<time>] "
    "[--in <delay>] [--break-glass] [code <code>]\n"
    "For example: deploy shop@v1.4 to production"
)


USAGE_LOCK = (
    "Usage: lock <app> <env> [for <duration>] because …\n"
    "For example: lock shop production for 2h because we are measuring"
)


USAGE_LOCK = (
    "Usage: lock <app> <env> [for <duration>] because …\n"
    "For example: lock shop production for 2h because we are measuring"
)
USAGE_WHY = "Usage: why <what> <app>[@<ref>] [<env>]\nFor example: why deploy shop production"
USAGE_LOGS = (
    "Usage: logs <app> [tail] [<lines>] [follow] [since <since>] [grep <text>] [from <env>[/<server>]] [file]\n"
    "For example: logs shop tail 200 from production/web1"
)


@pytest.mark.parametrize(
    ("text", "sentence", "hint", "choice"),
    [
        (
            "deploy shpo",
            "There is no app `shpo`, did you mean `shop`?",
            "Apps: shop, blog, wiki.",
            "deploy shop",
        ),
        ("deploy nothing", "There is no app `nothing`.", "Apps: shop, blog, wiki.", ""),
        (
            "status live",
            "There is no app `live`.",
            "`live` is an environment: write the app first. Apps: shop, blog, wiki.",
            "",
        ),
        (
            "deploy shop@v2 to prod because x",
            "There is no environment `prod` of shop, did you mean `production`?",
            "Environments of shop: staging, production.",
            "deploy shop@v2 to production because x",
        ),
        (
            "logs shop from production/wbe2",
            "There is no server `wbe2` in shop/production, did you mean `web2`?",
            "Servers in shop/production: web1, web2.",
            "logs shop from production/web2",
        ),
        (
            "deploy shop to production/web1,web9",
            "There is no server `web9` in shop/production, did you mean `web2`?",
            "Servers in shop/production: web1, web2.",
            "deploy shop to production/web1,web2",
        ),
        (
            "run shop migrat",
            "There is no task `migrat` of shop, did you mean `migrate`?",
            "Tasks of shop: migrate, reindex.",
            "run shop migrate",
        ),
        (
            "run blog x",
            "There is no task `x` of blog.",
            "It has no tasks: add some to [apps.blog.tasks] of bot.toml.",
            "",
        ),
        (
            "allow @ana deploy",
            "There is no role `deploy`, did you mean `deployer`?",
            "Roles: viewer, deployer, approver, admin.",
            "allow @ana deployer",
        ),
        (
            "deply shop",
            "There is no command `deply`, did you mean `deploy`?",
            "`help` lists what I can do.",
            "deploy shop",
        ),
        ("xyzzy", "There is no command `xyzzy`.", "`help` lists what I can do.", ""),
        (
            "deploy wiki --dry-run because x",
            "Which environment of wiki do you mean: test, live?",
            "For example: deploy wiki --dry-run to test because x",
            "deploy wiki --dry-run to test because x",
        ),
        ("why deploy", "Add an app after `deploy`: shop, blog, wiki.", USAGE_WHY, "why deploy shop"),
        ("claim", "Add `<code>` after `claim`.", "Usage: claim <code>\nFor example: claim 7KQ2-M9XD", ""),
        (
            "deploy shop to",
            "Add an environment after `to`: staging, production.",
            USAGE_DEPLOY,
            "deploy shop to staging",
        ),
        (
            "lock shop because it is time",
            "Add an environment after `shop`: staging, production.",
            USAGE_LOCK,
            "lock shop staging because it is time",
        ),
        (
            "deploy shop prodcution because x",
            "I do not understand `prodcution`, did you mean `deploy shop to production because x`?",
            USAGE_DEPLOY,
            "deploy shop to production because x",
        ),
        (
            "deploy shop onto production",
            "I do not understand `onto`, did you mean `deploy shop to production`?",
            USAGE_DEPLOY,
            "deploy shop to production",
        ),
        (
            "deploy shop v2",
            "I do not understand `v2`, did you mean `deploy shop@v2`?",
            USAGE_DEPLOY,
            "deploy shop@v2",
        ),
        (
            "deploy shop --dry",
            "I do not understand `--dry`, did you mean `deploy shop --dry-run`?",
            USAGE_DEPLOY,
            "deploy shop --dry-run",
        ),
        (
            "deploy shop to production Mon 08:00",
            "I do not understand `Mon`, did you mean `deploy shop to production --at Mon 08:00`?",
            USAGE_DEPLOY,
            "deploy shop to production --at Mon 08:00",
        ),
        ("deploy shop 25:00", "`25:00` is not a time of day such as 18:00.", USAGE_DEPLOY, ""),
        ("deploy shop --force", "I do not understand `--force`.", USAGE_DEPLOY, ""),
        ("deploy --force", "I do not understand `--force`.", USAGE_DEPLOY, ""),
        ("deploy shop to staging to production", "`to` appears twice.", USAGE_DEPLOY, ""),
        (
            "history shop prodution",
            "There is no environment `prodution` of shop, did you mean `production`?",
            "Environments of shop: staging, production.",
            "history shop production",
        ),
        ("deploy shop@", "A ref is missing in `shop@`.", USAGE_DEPLOY, ""),
        ("deploy @v2", "An app is missing in `@v2`.", USAGE_DEPLOY, ""),
        ("deploy shop to production/web1,", "A server is missing in `production/web1,`.", USAGE_DEPLOY, ""),
        ('deploy ""', "An app is missing in ``.", USAGE_DEPLOY, ""),
        (
            "deploy shop@-rf",
            "`-rf` is not a ref: use letters, digits and . _ / + -, and do not begin with . / + -",
            USAGE_DEPLOY,
            "",
        ),
        ("deploy shop because", "Add a reason after `because`.", USAGE_DEPLOY, ""),
        (
            "status shop for production",
            "I do not understand `for`, did you mean `status shop production`?",
            "Usage: status [<app>] [<env>]\nFor example: status",
            "status shop production",
        ),
        (
            "lock shop production because",
            "Add a reason after `because`.",
            USAGE_LOCK,
            "",
        ),
        (
            "logs shop since 5",
            "`5` is neither a duration such as 90s, 15m, 2h or 1h30m, nor a time of day such as 18:00.",
            USAGE_LOGS,
            "",
        ),
        (
            "logs shop flow",
            "I do not understand `flow`, did you mean `logs shop follow`?",
            USAGE_LOGS,
            "logs shop follow",
        ),
        (
            "logs shop error",
            "I do not understand `error`, did you mean `logs shop grep error`?",
            USAGE_LOGS,
            "logs shop grep error",
        ),
        (
            "logs shop grep x 5y",
            "`5y` is not a whole number.",
            USAGE_LOGS,
            "",
        ),
        (
            "cancel it",
            "`it` is neither a deployment such as #42, nor a followed log such as log-3.",
            "Usage: cancel <what>\nFor example: cancel #42",
            "",
        ),
        ("apps please", "I do not understand `please`.", "Usage: apps", ""),
        (
            "logs shop grep “two words",
            "The quote that starts at `“two words` is not closed.",
            "Close it, or remove it: only text with spaces needs quotes.",
            "",
        ),
    ],
)
def test_refusals(text: str, sentence: str, hint: str, choice: str) -> None:
    problem = refusal(text)
    assert (problem.sentence, problem.hint) == (sentence, hint)
    assert [command for _, command in problem.choices][:1] == ([choice] if choice else [])


@pytest.mark.parametrize(
    "ref",
    ["-x", "--upload-pack=x", "a..b", "a//b", "/a", "a/", "a.lock", "a b", "ä", "a;b", "$(a)", "a@{1}", "@", "#x"],
)
def test_refs_that_git_would_misunderstand(ref: str) -> None:
    assert isinstance(refusal(f"deploy shop@{ref}"), UsageError)


def test_every_proposal_of_a_choice_is_understood() -> None:
    for text in ("deploy wiki", "deploy shpo", "deploy shop onto production", "deploy shop v2", "logs shop error"):
        for _, choice in refusal(text).choices:
            read(choice)


def test_nothing_is_named_that_one_may_not_see() -> None:
    problem = refusal("deploy shpo", frozenset({("blog", "live")}))
    assert (problem.sentence, problem.hint) == ("There is no app `shpo`.", "Apps: blog.")
    assert refusal("deploy wiki", frozenset({("blog", "live")})).choices == ()
    assert refusal("deploy shop to prod", frozenset({("shop", "staging")})).hint == "Environments of shop: staging."
    assert refusal("deploy x", frozenset()).hint == ""
    blog = frozenset({("blog", "live")})
    for text in ("deploy shop to production/web9", "run shop migrate", "deploy shop"):
        assert (refusal(text, blog).sentence, refusal(text, blog).hint) == ("There is no app `shop`.", "Apps: blog.")
    staging = frozenset({("shop", "staging")})
    problem = refusal("deploy shop to production", staging)
    assert problem.sentence == "There is no environment `production` of shop."
    production = frozenset({("shop", "production")})
    assert refusal("deploy shop", production).sentence == "Which environment of shop do you mean: production?"


def test_long_words_are_cut() -> None:
    assert refusal("deploy " + "x" * 100).sentence == f"There is no app `{'x' * 39}…`."
