"""Find the cause in a step's log: the last line that says more than that something failed."""

from __future__ import annotations

import re
from collections.abc import Sequence

LONGEST = 160
_LONGEST_READ = 2000

_STEERING = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BEFORE = re.compile(
    r"""^(?:
        \[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?\s+  # a time
        | \#\d+\s+(?:\d+\.\d+\s+)?                                                  # a step of BuildKit
        | \d+\.\d{3}\s+                                                             # its seconds
        | [a-z][\w.-]*\s+\|\s                                                            # a service of Compose
        | (?:error|fatal|critical|panic):\s+               # a level
        | npm\s+(?:err!|error)\s+
        | \[(?:error|fatal)\]\s+
        | Error\ response\ from\ daemon:\s+
        | driver\ failed\ programming\ external\ connectivity\ on\ endpoint\ \S+\ \([0-9a-f]+\):\s+
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_UNINFORMATIVE = re.compile(
    r"""^(?:
        [\W_]*                                                                      # rules and brackets
        | \d+\s+\|.*                                                                # lines of a Dockerfile
        | [\w./-]*Dockerfile[\w.-]*:\d+
        | .*(?:did\ not\ complete\ successfully|returned\ a\ non-zero\ code).*
        | (?:process\ |command\ |script\ |build\ |the\ command\ )?
          (?:failed|exited|exit|ended|terminated|returned)?\ ?
          (?:with\ )?(?:exit\ |status\ |code\ )*:?\ ?\d+\.?
        | make(?:\[\d+\])?:.*(?:\ Error\ \d+|Leaving\ directory.*|Stopping\.?)
        | .*(?:ELIFECYCLE|complete\ log\ of\ this\ run|_logs/|Lifecycle\ script).*
        | at\ .*\(.*\)|at\ \S+:\d+:\d+
    )$""",
    re.IGNORECASE | re.VERBOSE,
)


_PORT_TAKEN = "port is already allocated"
_NO_CACHE = re.compile(
    r"failed to .*(?:/overlay2/\S*: no such file or directory|snapshot \S+ does not exist|layer does not exist)"
)


def advice_of(lines: Sequence[str], server: str) -> str:
    """Return what to do about a failure on a server, if its last lines do not say so; empty for most failures.

    Docker Engines that are killed while they start a container keep its port reserved, also once the container is gone
    (seen with 20.10): only a restart of the Engine frees it. After a full disk or a kill, BuildKit may miss parts of
    its cache: https://github.com/moby/moby/issues/44943. To empty it may then fail (…/issues/40480) or skip what is
    damaged (seen with 20.10); without its folder, BuildKit begins with an empty cache, and images stay as they are.
    """
    if any(_NO_CACHE.search(line[:_LONGEST_READ]) for line in lines):
        return (
            f"Docker's build cache on {server} is damaged: "
            f"empty it there (docker builder prune --all --force) and try again. "
            f"If that does not help, stop Docker, delete its folder buildkit (/var/lib/docker/buildkit), and start it."
        )
    if _PORT_TAKEN not in cause_of(lines):
        return ""
    return (
        f"If no container uses that port, Docker on {server} lost track of it when it was interrupted: "
        f"restart Docker there (sudo systemctl restart docker) and try again."
    )


def cause_of(lines: Sequence[str]) -> str:
    """Return the last line that names a cause, without colours and prefixes; the last line if none does."""
    bare = [text for line in lines if (text := _bare(line))]
    informative = [text for text in bare if not _UNINFORMATIVE.match(text)]
    found = (informative or bare or [""])[-1].rstrip(".")
    return f"{found[: LONGEST - 1]}…" if len(found) > LONGEST else found


def _bare(line: str) -> str:
    """Return a line as last printed, without colours, times, levels and names of programs."""
    text = _STEERING.sub("", line.rstrip().rpartition("\r")[2])[:_LONGEST_READ].strip()
    for _ in range(4):
        shorter = _BEFORE.sub("", text, count=1).strip()
        if shorter in {"", text}:
            break
        text = shorter
    return text
