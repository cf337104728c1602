"""Find which services a typed tag or digest is meant for, where the Compose files on servers name the images. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deploybot.domain import Pin, canonical_image
from deploybot.errors import UserError
from deploybot.settings import App
from deploybot.wording import listed

DIGEST = "sha256:"


def meant(app: App, ref: str, found: Sequence[Pin], written: Mapping[str, str]) -> tuple[Pin, ...]:
    """Return the images that a tag or digest is meant for, of all services whose repository has it (`found`).

    `written` is the tag, rule or digest of each service in the Compose files or bot.toml. A digest is meant for the
    services whose own tag means it now (their pins have a tag), a tag for those that name it. If there are none, they
    must all be written the same. Raises UserError if it is unclear: a worker would get the program of the web server.
    """
    if ref.startswith(DIGEST) and (owners := tuple(pin for pin in found if _has_digest(pin, written[pin.service]))):
        return owners
    own = own_images(app, ref, found)
    repositories = dict.fromkeys(canonical_image(pin.image) for pin in own)
    return tuple(
        pin
        for repository in repositories
        for pin in _shared(app, ref, [one for one in own if canonical_image(one.image) == repository], written)
    )


def own_images(app: App, ref: str, found: Sequence[Pin]) -> Sequence[Pin]:
    """Return the images of the repositories that bot.toml names, if some of them have a tag or digest.

    Raises UserError if several images have it and bot.toml names none: a tag such as `latest` would move a database.
    """
    named = {canonical_image(one.image) for one in app.images.values()}
    if own := [pin for pin in found if canonical_image(pin.image) in named]:
        return own
    images = sorted({canonical_image(pin.image) for pin in found})
    if len(images) > 1:
        raise UserError(
            f"Several images of {app.name} have the {what(ref)}: {listed(images)}.",
            hint=f"Write the tag or digest in the Compose file, or name your own image under apps.{app.name}.images in "
            "bot.toml.",
        )
    return found


def no_such_image(app: App, ref: str) -> UserError:
    """Return that no image of an app has a tag or digest, and where it was searched."""
    where = ", ".join(sorted({one.image for one in app.images.values()}))
    return UserError(
        f"No image of {app.name} has the {what(ref)}.",
        hint=f"Searched: {where}." if app.repo else "Searched: the images that the Compose files on its servers name.",
    )


def what(ref: str) -> str:
    """Return a tag or digest for sentences."""
    return f"digest {ref[:17]}…" if ref.startswith(DIGEST) else f"tag `{ref}`"


def _has_digest(pin: Pin, written: str) -> bool:
    """Return whether a service's image is at the digest that was found: by its tag, or because it is written so."""
    return written == pin.digest if written.startswith(DIGEST) else bool(pin.tag)


def _shared(app: App, ref: str, pins: Sequence[Pin], written: Mapping[str, str]) -> Sequence[Pin]:
    """Return the services of one repository that get an image: those that bot.toml names, or all, written the same."""
    mine = [pin for pin in pins if pin.service in app.images] or pins
    exact = [pin for pin in mine if written[pin.service] == ref]
    forms = {written[pin.service] for pin in exact or mine}
    if len(forms) > 1:
        each = ", ".join(f"{pin.service} ({written[pin.service]})" for pin in mine)
        raise UserError(
            f"Several services of {app.name} run {pins[0].image} with different tags, so it is unclear which of them "
            f"gets the {what(ref)}: {each}.",
            hint=f"Write it in the Compose file, or name one service under apps.{app.name}.images in bot.toml.",
        )
    return [pin for pin in pins if written[pin.service] in forms]
