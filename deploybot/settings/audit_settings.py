"""Where the audit goes outside of the database, as bot.toml has it."""

from __future__ import annotations

from deploybot.settings.address_values import CallUrl, SyslogAddress
from deploybot.settings.setting_types import Secret, SettingsPart
from deploybot.settings.value_shapes import LocalPath


class AuditCall(SettingsPart):
    """`[audit.call]`: an address that each row of the audit is sent to, signed by the Standard Webhooks scheme."""

    url: CallUrl
    secret: Secret


class AuditExport(SettingsPart):
    """`[audit]`: each row of the audit also goes to a `file`, to `syslog` and by a `call`, as it happens.

    `syslog` is `local`, `unix:///path`, `udp://host:port` or `tcp://host:port`.
    """

    file: LocalPath | None = None
    syslog: SyslogAddress | None = None
    call: AuditCall | None = None
