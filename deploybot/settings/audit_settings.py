"""Export of the audit in bot.toml."""

from __future__ import annotations

from deploybot.settings.address_values import CallUrl, SyslogAddress
from deploybot.settings.setting_types import Secret, SettingsPart
from deploybot.settings.value_shapes import LocalPath


class AuditCall(SettingsPart):
    """`[audit.call]`: a URL to which each audit row is sent, signed with the Standard Webhooks scheme."""

    url: CallUrl
    secret: Secret


class AuditExport(SettingsPart):
    """`[audit]`: sends each audit row also to a `file`, to `syslog` and by a `call`, as it happens.

    `syslog` is `local`, `unix:///path`, `udp://host:port` or `tcp://host:port`.
    """

    file: LocalPath | None = None
    syslog: SyslogAddress | None = None
    call: AuditCall | None = None
