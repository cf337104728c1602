"""Detect new releases that `auto` in bot.toml should deploy.

An event is only a hint to check. A check reads the repository's heads and the registries' images, and compares them
with the values considered last. Late, duplicate or reordered events do no harm, and the next check finds changes that
no event reported. One transaction writes the decision and the values considered. The decision may create a trigger,
which `TriggerRequests` processes until it ends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from deploybot.autodeploy import first_look
from deploybot.autodeploy.commit_order import CommitOrder, commits_there
from deploybot.autodeploy.event_hints import Hint, autos, hint_of
from deploybot.autodeploy.first_look import SourceMoved, moves
from deploybot.autodeploy.image_order import IMAGE_TAGS, older_problem
from deploybot.autodeploy.missing_branches import GoneBranches
from deploybot.autodeploy.outdated_triggers import OutdatedTriggers, WaitingDeployments, source_text
from deploybot.autodeploy.pending_deployments import TriggerRequests
from deploybot.autodeploy.target_state import TargetState, images_wait, target_state, was_there, with_images_again
from deploybot.autodeploy.trigger_cards import by, plain, waiting_text
from deploybot.autodeploy.trigger_records import TriggerRecords
from deploybot.autodeploy.watched_images import NO_ANSWER, watched_images
from deploybot.autodeploy.watched_sources import (
    IMAGES,
    WAITING_IMAGES,
    Found,
    News,
    There,
    images_text,
    news,
    undated,
)
from deploybot.autodeploy.weighed_changes import WeighedChanges, consider_tags
from deploybot.domain import NO_RELEASE, Event, Trigger, TriggerState
from deploybot.errors import DeploybotError
from deploybot.events.build_verdicts import dated, joined
from deploybot.ports import Clock, Images, RefSource, Store, Tables
from deploybot.settings import App, Auto, Environment

log = logging.getLogger(__name__)

SKIP = ("[skip deploy]", "[deploy skip]")
_SKIPPED = "The commit message contains "


class TriggerDetector:
    """A `ports.GroupListener` that also checks apps for the `Poller`. `wake(app)` asks for a check soon."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        refs: RefSource,
        images: Images | None,
        requests: TriggerRequests,
        records: TriggerRecords,
        wake: Callable[[str], None],
        gone: GoneBranches | None = None,
        queue: WaitingDeployments | None = None,
    ) -> None:
        """Take the ports.

        `images` is None where no registry can be asked. `gone` reports missing branches. `queue` ends automatic
        deployments that are no longer wanted.
        """
        self._store = store
        self._clock = clock
        self._refs = refs
        self._images = images
        self._requests = requests
        self._records = records
        self._wake = wake
        self._dates: dict[str, float] = {}
        self._looked: set[tuple[str, str]] = set()
        self._gone = gone
        self._order = CommitOrder(refs)
        self._outdated = OutdatedTriggers(store, records, queue)

    async def handle_event(self, app: App, event: Event, delivery: str) -> str:
        """Store what an event reports, and check soon. The same event may come again safely. Raises only StoreError."""
        return (await self.handle_events(app, [(event, delivery)]))[0]

    async def handle_events(self, app: App, events: Sequence[tuple[Event, str]]) -> Sequence[str]:
        """Handle several events like `handle_event`, in one transaction."""
        hints = [hint_of(app, event) if autos(app) else None for event, _ in events]
        fresh = [one for event, _ in events for one in self._moved(app, event)]
        if any(hints) or fresh:
            await self._store.write(lambda tables: self._keep_all(tables, app.name, hints, fresh))
        if any(hint is not None and hint.about for hint in hints):
            self._wake(app.name)
        return [_looking(hint) for hint in hints]

    def _moved(self, app: App, event: Event) -> Iterator[tuple[str, SourceMoved]]:
        """Yield an event's changes for environments that had no first check yet, or had it a short time ago."""
        for name, auto in autos(app).items():
            if (app.name, name) not in self._looked:
                yield from ((name, one) for one in moves(auto, event))

    def _keep_all(
        self, tables: Tables, app: str, hints: Sequence[Hint | None], fresh: Sequence[tuple[str, SourceMoved]]
    ) -> None:
        for environment, moved in fresh:
            first_look.report(tables, (app, environment), moved, self._clock.now())
        for hint in hints:
            if hint is not None:
                self._keep(tables, app, hint)

    def _keep(self, tables: Tables, app: str, hint: Hint) -> None:
        now = self._clock.now()
        if hint.by is not None:
            for what in hint.author_keys:
                tables.triggers.put_author(app, what, hint.by, now)
        if hint.built is not None:
            known = tables.triggers.built(app, hint.built)
            built = joined(known, dated(hint.built, now))
            if built != known:
                tables.triggers.build(app, built, now)
        if hint.published:
            tables.triggers.publish(app, hint.published, now)
        if hint.unpublished:
            tables.triggers.unpublish(app, hint.unpublished)

    async def look(self, app: App) -> float:
        """Check everything that `auto` deploys an app from, and process its triggers.

        Return the seconds until something is due without an event. Raises Unreachable, UserError or StoreError where
        something could not be checked; everything else has been checked by then.
        """
        problem: DeploybotError | None = None
        there = There(
            await self._refs.heads(app), await self._store.read(lambda tables: tables.triggers.published(app.name))
        )
        watched = await watched_images(self._images, app, [name for name, auto in autos(app).items() if auto.image])
        if self._gone is not None:
            await self._gone.look(app, there.heads)
        await self._outdated.withdraw(app, there)
        for name, auto in autos(app).items():
            here = app.at(name)
            pins, failed = watched.get(name, NO_ANSWER)
            problem = problem or failed
            try:
                await self._consider(here, app.environments[name], auto, replace(there, images=pins))
            except DeploybotError as found:
                problem = problem or found
        due = await self._requests.go_on(app, self._order)
        if problem is not None:
            raise problem
        return due

    async def _consider(self, app: App, environment: Environment, auto: Auto, there: There) -> None:
        """Compare the current values with those considered last, and write the result."""
        state = await self._store.read(lambda tables: target_state(tables, environment))
        if state.carrier_ended:
            state = await self._store.write(lambda tables: with_images_again(tables, environment))
        dates = await self._dated(app, undated(auto, there))
        fresh = news(auto, there, state.seen, dates)
        if not (fresh.found or fresh.first or fresh.left):
            await self._forget_first(app, environment, state.seen)
            if auto.image and there.images and IMAGE_TAGS not in state.seen:  # since a version that did not store them
                await self._store.write(lambda tables: consider_tags(tables, environment, there))
            if WAITING_IMAGES in state.seen and (there.images or not auto.image):  # moved back, or not watched any more
                await self._store.write(lambda tables: self._records.name_waiting(tables, app, environment.name, ""))
            return
        decision = await self._weigh_all(app, environment, fresh, there, state)
        ended = await self._store.write(lambda tables: self._settle(tables, app, environment, decision))
        self._outdated.wake(ended)

    async def _forget_first(self, app: App, environment: Environment, seen: dict[str, str]) -> None:
        """Delete the notes of first checks once they are old, so that events are no longer compared with them."""
        old, notes = first_look.old(seen, self._clock.now()), first_look.notes(seen)

        def forget(tables: Tables) -> None:
            for source in old:
                tables.triggers.forget(app.name, environment.name, source)

        if old:
            await self._store.write(forget)
        if len(old) == len(notes):
            self._looked.add((app.name, environment.name))

    async def _dated(self, app: App, commits: Sequence[str]) -> dict[str, float]:
        """Return the dates of commits. Each commit is looked up once."""
        for commit in commits:
            if commit not in self._dates:
                self._dates[commit] = (await self._refs.resolve(app, commit)).committed
        return {commit: self._dates[commit] for commit in commits}

    async def _newest_first(self, app: App, found: Sequence[Found]) -> list[Found]:
        """Return the changes that have a commit, the latest date first."""
        commits = [one for one in found if one.commit]
        if len(commits) < 2:  # noqa: PLR2004 - nothing to compare
            return commits
        dates = await self._dated(app, [one.commit for one in commits])
        return sorted(commits, key=lambda one: (dates[one.commit], one.where), reverse=True)

    async def _weigh_all(
        self, app: App, environment: Environment, fresh: News, there: There, state: TargetState
    ) -> WeighedChanges:
        """Weigh changes until one is to be deployed.

        The newest commit comes first; if it is to be deployed, or was already, it takes the place of older ones. Images
        come last. What is to be deployed may bring the newest images, too, but they stay new until that happened.
        """
        left = [await self._left(app, environment, one, state) for one in fresh.left]
        triggers = [one for one in left if one is not None]
        for one in await self._newest_first(app, fresh.found):
            if state.is_there(environment.servers, one.commit) or state.on_its_way(one.commit):
                log.info("%s/%s: %s is already deployed or queued", app.name, environment.name, one.words)
                break
            trigger = await self._weigh(app, environment, one, state)
            if trigger is not None:
                triggers.append(trigger)
                if not trigger.state.ended:
                    break
        waits = any(not one.state.ended for one in triggers)
        for one in (one for one in fresh.found if not one.commit):
            if not waits and state.carries(one.seen):
                return WeighedChanges(fresh, there, state, tuple(triggers), deferred=False, carried=one.seen)
            trigger = await self._of_images(app, environment, one, there, state)
            new = trigger if trigger is not None and not trigger.state.ended else None
            if waits or (new is not None and state.has_before_images):
                waiting = waiting_text(new) if new is not None else ""
                return WeighedChanges(fresh, there, state, tuple(triggers), deferred=True, waiting=waiting)
            triggers += [trigger] if trigger is not None else []
        return WeighedChanges(fresh, there, state, tuple(triggers), deferred=False)

    async def _weigh(self, app: App, environment: Environment, found: Found, state: TargetState) -> Trigger | None:
        """Decide about a commit. Return a trigger, one that is only reported (LEFT), or None to do nothing."""
        commit = found.commit
        why = await self._why(app, found)
        trigger = self._trigger(environment, found, commit=commit, release=commit, ref=commit, why=why)
        if problem := await self._behind(app, found, state) or await self._was_there(trigger):
            return replace(trigger, state=TriggerState.LEFT, problem=problem)
        if found.where.startswith("heads/") and (mark := await self._skipped(app, commit)):
            return replace(trigger, state=TriggerState.LEFT, problem=f"{_SKIPPED}{mark}")
        base = (state.runs[0].release.code or "") if state.runs else found.commit_before
        bases = dict.fromkeys((base, *(one.plan.release.code or "" for one in state.begun)))
        if not any([await self._is_touched(app, environment, one, commit) for one in bases]):
            log.info("%s/%s: %s changes nothing that is watched here", app.name, environment.name, found.words)
            return None
        return trigger

    async def _left(self, app: App, environment: Environment, found: Found, state: TargetState) -> Trigger | None:
        """Return a trigger that is only reported, for the newest tag left after a newer one was deleted."""
        commit = found.commit
        if state.is_there(environment.servers, commit) or state.on_its_way(commit):
            return None
        why = await self._why(app, found)
        trigger = self._trigger(environment, found, commit=commit, release=commit, ref=commit, why=why)
        problem = f"The tag {plain(found.gone)}, which is newer, was deleted"
        return replace(trigger, state=TriggerState.LEFT, problem=problem)

    def _trigger(
        self, environment: Environment, found: Found, *, commit: str, release: str, ref: str, why: str
    ) -> Trigger:
        asks = environment.auto is not None and environment.auto.ask
        return Trigger(
            app=environment.app,
            environment=environment.name,
            rule=found.rule,
            source=found.where,
            commit=commit,
            release=release,
            ref=ref,
            why=why,
            made=self._clock.now(),
            state=TriggerState.ASKED if asks else TriggerState.OPEN,
        )

    async def _why(self, app: App, found: Found, *more: str) -> str:
        """Return text such as `push to develop by ana`, with the name of a known person or else the sender's name."""

        def look(tables: Tables) -> str:
            whats = dict.fromkeys(filter(None, (found.commit, found.where, *more)))
            authors = tables.triggers.authors(app.name, whats)
            people = (tables.people.of(one.identity) for one in authors if one.identity is not None)
            return by(authors, [person.name for person in people if person is not None])

        return plain(found.words) + await self._store.read(look)

    async def _behind(self, app: App, found: Found, state: TargetState) -> str:
        """Return why a change is older than a commit that ran, runs or waits, or an empty text if it is not."""
        commit = found.commit
        waits = [one.plan.release.code for one in state.open if one.trigger and not one.cancel_by]
        current = state.current.commit if state.current else ""
        waits_there = "which is waiting to be deployed there"
        newer = [
            (found.commit_before, f"{source_text(found.where)} was moved back from {found.commit_before[:10]}"),
            *commits_there(state.runs, state.begun),
            *((one, f"It is older than {one[:10]}, {waits_there}") for one in (*waits, current) if one),
        ]
        return await self._order.first_newer(app, commit, newer)

    async def _was_there(self, trigger: Trigger) -> str:
        return await self._store.read(lambda tables: was_there(tables, trigger))

    async def _skipped(self, app: App, commit: str) -> str:
        """Return the mark in a commit's message that opts out of deployment, or an empty text if there is none."""
        message = (await self._refs.message(app, commit)).lower()
        return next((mark for mark in SKIP if mark in message), "")

    async def _is_touched(self, app: App, environment: Environment, base: str, commit: str) -> bool:
        """Return whether any of `paths` changed since a commit that runs, or since the one considered if none runs."""
        paths = environment.auto.paths if environment.auto else ()
        if not paths or not base:
            return True
        touched = await self._refs.touched(app, base, commit, paths)
        return touched is None or bool(touched)

    async def _of_images(
        self, app: App, environment: Environment, found: Found, there: There, state: TargetState
    ) -> Trigger | None:
        """Return the trigger for new images, or None if there is nothing to deploy.

        A single new image is deployed by its digest. Several are deployed with the commit that runs, and all are pinned
        again.
        """
        pins = there.images
        release = state.runs[0].release if state.runs else NO_RELEASE
        begun = [one.plan.release for one in state.begun if one.plan.release.images]
        soon = begun[-1] if begun else release
        there_now = {pin.digest for pin in soon.images}
        changed = [pin for pin in pins if pin.digest not in there_now]
        if not changed:
            return None
        alone = len(changed) == 1 and (bool(release.images) or len(pins) == 1)
        why = await self._why(app, found, *(pin.digest for pin in changed))
        commit = release.code or ""
        ref = changed[0].digest if alone else commit
        trigger = self._trigger(environment, found, commit=commit, release=images_text(pins), ref=ref, why=why)
        if not alone and len({one.release.code for one in state.runs}) > 1:
            return replace(
                trigger, state=TriggerState.LEFT, problem="Its servers run different commits: deploy one to all of them"
            )
        ran = {pin.digest for one in state.good for pin in one.plan.release.images} - there_now
        if back := [pin for pin in changed if pin.digest in ran]:
            names = " and ".join(f"{pin.service} {pin.tag}" for pin in back)
            return replace(
                trigger, state=TriggerState.LEFT, problem=f"{names} was moved back to an image that ran before"
            )
        if problem := (
            older_problem(app.images, changed, state.seen.get(IMAGE_TAGS, ""), soon.images)
            or await self._was_there(trigger)
        ):
            return replace(trigger, state=TriggerState.LEFT, problem=problem)
        if tried := state.tried(pins):
            return replace(trigger, state=TriggerState.LEFT, problem=f"It was part of #{tried.number}: {tried.word}")
        return trigger

    def _settle(self, tables: Tables, app: App, environment: Environment, decision: WeighedChanges) -> list[int]:
        """Store the values considered, the new triggers and the one that they replace, and post their cards.

        End what waits for older values. Return the numbers of the deployments that ended.
        """
        if first_look.settle(tables, (app.name, environment.name), decision.fresh.first, self._clock.now()):
            self._wake(app.name)
        decision.store_considered(tables, environment)
        ended = []
        if all(one.state.ended for one in decision.triggers):
            ended += self._outdated.passed(tables, app, environment.name, decision.passed, decision.is_wanted)
        reported = set[str]()
        for trigger in decision.triggers:
            self._replace(tables, app, trigger, decision.state)
            with_card = trigger.state is not TriggerState.OPEN and (
                not trigger.commit or trigger.commit not in reported
            )
            reported.add(trigger.commit)
            self._records.put(tables, app, tables.triggers.add(trigger), with_card=with_card)
            if trigger.state.ended and not trigger.problem.startswith(_SKIPPED):
                ended += self._outdated.moved_back(tables, app, trigger, decision.is_wanted)
        if decision.there.images:
            self._records.name_waiting(tables, app, environment.name, decision.waiting)
        return ended

    def _replace(self, tables: Tables, app: App, trigger: Trigger, state: TargetState) -> None:
        """End the open trigger that a new one replaces. Images that a commit replaces count as new again after it."""
        current = tables.triggers.current(app.name, trigger.environment)
        if current is not None and trigger.state.ended and current.source != trigger.source:
            current = None
        if current is not None:
            newer = replace(current, state=TriggerState.OVERTAKEN, problem=f"Newer: {trigger.why}")
            self._records.put(tables, app, newer)
        waits = not trigger.state.ended and images_wait(tables, app.name, trigger.environment)
        if trigger.source != IMAGES and (waits or (current is not None and current.source == IMAGES)):
            runs = images_text(state.runs[0].release.images) if state.runs else ""
            tables.triggers.consider(app.name, trigger.environment, IMAGES, runs)


def _looking(hint: Hint | None) -> str:
    if hint is None or not hint.about:
        return ""
    return f"checking whether to deploy {' and '.join(hint.about)}"
