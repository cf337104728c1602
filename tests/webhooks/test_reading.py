"""Single values as senders write them: times, addresses, commits, names of images."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from deploybot.webhooks.body_reading import Tree, host_of, plain, repository_of, under
from deploybot.webhooks.pushed_images import image, split

DIGEST = "sha256:" + "5e1f" * 16
TEN = datetime(2026, 11, 20, 10, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2026-11-20T10:00:00Z", TEN),
        ("2026-11-20T11:00:00+01:00", TEN),
        ("2026-11-20T10:00:00.123456789Z", TEN + 0.123456),
        ("2026-11-20 10:00:00 UTC", TEN),
        ("2026-11-20 11:00:00 +0100", TEN),
        ("2026-11-20T10:00:00", TEN),
        (int(TEN), TEN),
        (int(TEN) * 1000, TEN),
        (TEN + 0.5, TEN + 0.5),
        ("0001-01-01T00:00:00Z", 0.0),
        ("9999-12-31T23:59:59-23:59", 0.0),
        ("2026-02-30T10:00:00Z", 0.0),
        ("soon", 0.0),
        (-1, 0.0),
        (10**400, 0.0),
        (float("nan"), 0.0),
        (float("inf"), 0.0),
        (True, 0.0),
        (None, 0.0),
        ([], 0.0),
    ],
)
def test_times(written: object, seconds: float) -> None:
    assert Tree({"at": written}).time("at") == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://git.example.com/acme/shop", "git.example.com"),
        ("http://localhost:3000", "localhost:3000"),
        ("https://[2001:db8::1]:8443/x", "[2001:db8::1]:8443"),
        ("https://bücher.example/?q=1", "bücher.example"),
        ("https://ana@git.example.com/", ""),
        ("https://a b/", ""),
        ("https://a.example/x\ny", ""),
        ("https://a.example/<b>", ""),
        ("http://[", ""),
        ("https://", ""),
        ("ftp://a.example/", ""),
        ("javascript:alert(1)", ""),
        ("HTTPS://a.example/", ""),
        ("https://a.example/" + "x" * 2_000, ""),
    ],
)
def test_pages(address: str, host: str) -> None:
    page = Tree(address).page()
    assert page == (address if host else "")
    assert host_of(page) == host


def test_pages_below_others_hold_any_name() -> None:
    assert under("https://a.example", "tree", "v1 ?#<x>") == "https://a.example/tree/v1%20%3F%23%3Cx%3E"
    assert under("", "tree", "v1") == under("https://a.example", "tree", "") == ""


@pytest.mark.parametrize(
    ("address", "repository"),
    [
        ("git@github.com:acme/shop.git", "acme/shop"),
        ("https://github.com/acme/shop", "acme/shop"),
        ("https://user:pass@git.example.com/acme/shop.git/", "acme/shop"),
        ("ssh://git@git.example.com:2222/acme/sub/shop.git", "acme/sub/shop"),
        ("https://git.example.com/", ""),
        ("/srv/git/shop.git", ""),
        ("acme/shop", ""),
        ("", ""),
    ],
)
def test_repositories_of_addresses(address: str, repository: str) -> None:
    assert repository_of(address) == repository


@pytest.mark.parametrize(
    ("written", "commit"),
    [
        ("a" * 40, "a" * 40),
        ("a" * 64, "a" * 64),
        ("0" * 40, ""),
        ("A" * 40, ""),
        ("a" * 39, ""),
        ("a" * 41, ""),
        (7, ""),
    ],
)
def test_commits_are_whole(written: object, commit: str) -> None:
    assert Tree(written).commit() == commit


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("nginx:1.29", ("docker.io/library/nginx", "1.29", "")),
        ("acme/shop:v1", ("docker.io/acme/shop", "v1", "")),
        ("GHCR.io/acme/shop:v1", ("ghcr.io/acme/shop", "v1", "")),
        ("registry.example.com:5000/acme/shop", ("registry.example.com:5000/acme/shop", "", "")),
        (f"registry.example.com:5000/acme/shop:v1@{DIGEST}", ("registry.example.com:5000/acme/shop", "v1", DIGEST)),
        (f"acme/shop@{DIGEST}", ("docker.io/acme/shop", "", DIGEST)),
        ("acme/shop@sha256:12", ("docker.io/acme/shop", "", "")),
        ("acme/Shop:v1", ("", "v1", "")),
        ("acme/shop:v 1", ("docker.io/acme/shop", "", "")),
        ("", ("", "", "")),
    ],
)
def test_references_of_images(reference: str, parts: tuple[str, str, str]) -> None:
    assert split(reference) == parts
    assert image(parts[0]) == parts[0]


def test_texts_are_cut_and_can_be_stored() -> None:
    tree = Tree({"a": " x\ty\nz\0\ud800 ", "n": 7, "b": True, "f": 1.5, "long": "é" * 5_000})
    assert (tree.text("a"), tree.lines("a")) == ("x y z", "x\ty\nz")
    assert (tree.text("n"), tree.text("b"), tree.text("f"), tree.text("none"), tree.text("a", "b")) == (
        "7",
        "",
        "",
        "",
        "",
    )
    assert (len(tree.text("long")), len(tree.lines("long"))) == (300, 2_000)


def test_kinds_and_ids_are_plain() -> None:
    assert plain("Push Hook\r\n{}\u202e" + "x" * 100) == "Push Hook" + "x" * 55


@pytest.mark.parametrize("sign", ["\u00a0", "\u2028", "\u2029", "\u0085", "\u3000"])
@pytest.mark.parametrize("name", ["main{}", "{}main", "ma{}in", "main{}x"])
def test_a_branch_that_only_looks_like_another_one_is_not_that_one(name: str, sign: str) -> None:
    """git allows these signs in names. No branch has a blank, so what they become is no branch's name."""
    assert " " in Tree({"ref": name.format(sign)}).text("ref")


def test_a_text_of_nothing_but_white_space_is_empty() -> None:
    assert (Tree({"name": "\u00a0\u2028 \t"}).text("name"), Tree({"name": " main \n"}).text("name")) == ("", "main")
