"""Checksum files in every form that build servers write."""

from __future__ import annotations

import pytest

from deploybot.errors import UserError
from deploybot.sources.artifact_checksums import checksum_in

A, B = "a" * 64, "b" * 64
NAME, WHERE = "site-1.tar.gz", "https://b.example.com/SHA256SUMS"


@pytest.mark.parametrize(
    "text",
    [
        A,
        f"\n{A}\n\n",
        f"{A.upper()}\n",
        f"\ufeff{A}\r\n",
        f"{A}  {NAME}\n",
        f"{A} *{NAME}\n",
        f"{A}  ./dist/{NAME}\n",
        f"{A}  feature%2F{NAME}\n{B}  other\n",
        f"SHA256 ({NAME}) = {A}\n",
        f"SHA256({NAME})= {A}\n",
        f"SHA2-256({NAME})= {A}\n",
        f"\\{A}  {NAME}\n",
        f"SHA2-256 (dist/{NAME}) = {A}\n",
        f"{B}  site-2.tar.gz\n{A}  {NAME}\n",
        f"# made by CI\n{B}  other\n{A}  {NAME}\n{A}  {NAME}\n",
    ],
)
def test_the_checksum_of_the_file_is_found(text: str) -> None:
    assert checksum_in(text, NAME, WHERE) == A


@pytest.mark.parametrize(
    ("text", "sentence", "hint"),
    [
        ("".join(f"{A}  f{at}\n" for at in range(3)), f"{WHERE} has no checksum for {NAME}.", "It has f0, f1 and f2."),
        (f"{A}  other.tar.gz\n", f"{WHERE} has no checksum for {NAME}.", "It has other.tar.gz."),
        (
            "".join(f"{A}  f{at}\n" for at in range(5)),
            f"{WHERE} has no checksum for {NAME}.",
            "It has f0, f1, f2 and 2 more.",
        ),
        (
            f"{A}  {NAME}\n{B}  {NAME}\n",
            f"{WHERE} has 2 different checksums for {NAME}.",
            "Each name should be unique.",
        ),
        (f"X{A}", f"{WHERE} is no checksum file.", "It should have a SHA-256, or lines as `sha256sum` writes them."),
        ("<html>", f"{WHERE} is no checksum file.", "It should have a SHA-256, or lines as `sha256sum` writes them."),
        ("", f"{WHERE} is no checksum file.", "It should have a SHA-256, or lines as `sha256sum` writes them."),
        (
            f"{A}\n{B}\n",
            f"{WHERE} is no checksum file.",
            "It should have a SHA-256, or lines as `sha256sum` writes them.",
        ),
    ],
)
def test_anything_else_is_refused_with_what_is_there(text: str, sentence: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        checksum_in(text, NAME, WHERE)
    assert (caught.value.sentence, caught.value.hint) == (sentence, hint)
