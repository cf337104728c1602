"""Where the audit goes outside of the database, as bot.toml has it."""

from __future__ import annotations

from deploybot.settings.addresses import CallUrl, SyslogAddress
from deploybot.settings.parts import Part, Secret
from deploybot.settings.shapes import LocalPath


class AuditCall(Part):
    """`[audit.call]`: an address that each row of the audit is sent to, signed by the Standard Webhooks scheme."""

    url: CallUrl
    secret: Secret


class AuditExport(Part):
    """`[audit]`: each row of the audit also goes to a `file`, to `syslog` and by a `call`, as it happens.

    `syslog` is `local`, `unix:///path`, `udp://host:port` or `tcp://host:port`.
    """

    file: LocalPath | None = None
    syslog: SyslogAddress | None = None
    call: AuditCall | None = None
