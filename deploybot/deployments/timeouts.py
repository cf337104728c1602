"""How long the parts of a deployment wait."""

from __future__ import annotations

from dataclasses import dataclass

from deploybot.backoff import Backoff

JOB_RETRY = Backoff(0.5, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds, and the pauses between the attempts to reach a server that runs a job."""

    clock_check: float = 30.0
    """A wait for a time looks at the clock this often: it may be changed, and machines sleep."""
    recheck: float = 40.0
    """The check whether a request still does what was shown."""
    recheck_pause: float = 2.0
    """Between two such checks, while the repository or a server does not answer."""
    store_pause: float = 2.0
    """Between two attempts to write to the database."""
    job_wait: float = 2.0
    """One wait for the end of a job; then its log is read."""
    job_grace: float = 10.0
    """A job that is stopped has this time to end by itself."""
    job_stop: float = 20.0
    """To stop a job, whatever its server does; after that its end is unknown."""
    job_retry: Backoff = JOB_RETRY
    restore_silence: float = 60.0
    """If a server that is restored does not answer for this time, the next one begins."""
    restore_look: float = 10.0
    """Between two looks whether it answers."""
    gate_answer: float = 5.0
    """One answer to a health check; the check as a whole has twice that time."""
    watch_look: float = 8.0
    """One look of a watch at all its servers."""
    watch_before: float = 10.0
    """To ask the health check of the old release before its switch."""
    gate_logs: float = 10.0
    """To read the last log lines of unhealthy containers."""


TIMEOUTS = Timeouts()
