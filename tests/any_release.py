"""Releases of every kind, for tests with Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from deploybot.domain import ArtifactSource, CommitSource, CommitWithImages, ImagesSource, Pin, Release, ReleaseSource

_HEX = "0123456789abcdef"


def digits(count: int) -> st.SearchStrategy[str]:
    return st.text(_HEX, min_size=count, max_size=count)


COMMITS = digits(40) | digits(64)
PINS = st.lists(
    st.builds(
        Pin,
        st.sampled_from(["web", "side", "worker"]),
        st.sampled_from(["shop", "registry.example.com/acme/shop"]),
        st.sampled_from(["", "1", "latest"]),
        st.sampled_from("0123").map(lambda digit: f"sha256:{digit * 64}"),
    ),
    min_size=1,
    unique_by=lambda pin: pin.service,
).map(tuple)
NONE: tuple[Pin, ...] = ()

SOURCES: st.SearchStrategy[ReleaseSource] = st.one_of(
    st.builds(CommitSource, COMMITS),
    st.builds(CommitWithImages, COMMITS, PINS),
    st.builds(CommitWithImages, COMMITS, st.just(NONE), digits(12)),
    st.builds(ImagesSource, PINS),
    st.builds(ImagesSource, st.just(NONE), digits(64)),
    st.builds(ArtifactSource, digits(64)),
)
_TEXT = st.text(st.characters(codec=None), max_size=8)
_TIMES = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
RELEASES = st.builds(Release, st.none() | SOURCES, _TEXT, _TEXT, _TEXT, _TIMES, st.none() | _TEXT)
