"""Show what a deployment would change: `diff shop@v1.4 production`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from deploybot import (
    App,
    Card,
    Changes,
    Context,
    Environment,
    Line,
    Release,
    Table,
    Tone,
    command,
    image_changes,
    narrow_rows,
)


@command(
    "diff <app>[@<ref>] [<env>]",
    needs="view",
    within=600,
    examples=("diff shop@v1.4 production", "diff shop", "diff shop@:previous production"),
)
async def diff(ctx: Context, app: App, env: Environment, ref: Release) -> Card:
    """Show what a deployment would change: commits, authors, images, and warnings.

    It compares what runs in the environment with the ref. The default is the newest commit of the branch in bot.toml,
    as for `deploy`. If the servers run different releases, the bot compares one of these with the ref, and lists each
    server that runs another one.
    """
    running = await ctx.releases.running(app, env)
    known = [one for one in running.values() if one is not None]
    if not known:
        title = f"{app.name}/{env.name} has no release to compare {ref} with."
        return Card(title=title, hint=f"See what runs there: status {app.name} {env.name}")
    current = next((one for one in known if one.id != ref.id), ref)
    others = tuple(elsewhere(env, running, current))
    verb = "would" if len(running) == len(env.servers) else "may"
    if current.id == ref.id and others:
        title = f"{app.name}/{env.name}: {ref} {verb} be new on {len(others)} of {len(env.servers)} servers."
        return Card(title=title, lines=others, tone=Tone.UNKNOWN)
    if current.id == ref.id:
        title = f"{app.name}/{env.name} already has {ref}: no commit or image would change."
        return Card(title=title, tone=Tone.GOOD)
    changes = await ctx.releases.changes(app.at(env), current, ref)
    if not changes.known:
        text = f"{unknown(current, ref)}, so I cannot show what changed between them."
        title = f"{app.name}/{env.name}: {current} → {ref}"
        lines = (*images(current, ref), *labelled(changes), *others)
        return Card(title=title, text=text, lines=lines, tone=Tone.UNKNOWN)
    return Card(
        title=f"{app.name}/{env.name}: {current} → {ref}",
        text=total(changes) if not current.same_code(ref) else "The commit stays the same.",
        table=commits(changes),
        lines=(*images(current, ref), *warnings(current, changes), *others),
        footer=f"{changes.total - len(changes.commits)} older commits are not shown."
        if changes.total > len(changes.commits)
        else "",
        tone=Tone.WARN if changes.warnings or changes.removed else Tone.PLAIN,
    )


def elsewhere(env: Environment, running: Mapping[str, Release | None], current: Release) -> Iterator[Line]:
    """Return the servers that do not run the release that is compared: `web2: runs v2`."""
    for server in env.servers:
        release = running.get(server)
        if release is None:
            text = "runs no release of deploybot's" if server in running else "unknown: it does not answer"
            yield Line(server, text, Tone.UNKNOWN)
        elif release.id != current.id:
            yield Line(server, f"runs {release}", Tone.WARN)


def unknown(current: Release, ref: Release) -> str:
    """Why their commits cannot be compared."""
    bare = [one for one in (current, ref) if one.code is None]
    return f"{bare[0]} has no commit" if bare else "One of them is no longer in the repository"


def images(current: Release, ref: Release) -> Iterator[Line]:
    """`images: web 1.4.2 sha256:… → 1.4.3 sha256:…`."""
    changes = [f"{service} {was} → {now}" for service, was, now in image_changes(current, ref)]
    if changes:
        yield Line("images", ", ".join(changes))


def labelled(changes: Changes) -> Iterator[Line]:
    """The commits of the images, by the labels that their builds gave them."""
    for one in changes.images:
        text = f"{one.old[:10]} → {one.new[:10]}, by the labels of its images"
        yield Line(f"commits of {one.service}", text, url=one.url)


def total(changes: Changes) -> str:
    """`12 commits by 3 people, 40 files`."""
    authors = len({commit.author for commit in changes.commits})
    return f"{count(changes.total, 'commit')} by {count(authors, 'author')}, {count(changes.files, 'file')} changed."


def count(number: int, noun: str) -> str:
    """`1 commit`, `2 commits`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def commits(changes: Changes) -> Table | None:
    """The commits, newest first. On phones a commit is one line, and its author is in the details."""
    if not changes.commits:
        return None
    rows = tuple((commit.sha[:10], commit.author, commit.subject) for commit in changes.commits)
    narrow = narrow_rows([[commit.sha[:7], commit.subject] for commit in changes.commits])
    return Table(("commit", "author", "what"), rows, narrow=tuple(narrow))


def warnings(current: Release, changes: Changes) -> Iterator[Line]:
    """What deserves a second look."""
    if changes.removed:
        yield Line("removes", f"{count(changes.removed, 'commit')} of {current}", Tone.WARN)
    for path in changes.warnings:
        yield Line("look at", path, Tone.WARN)
