"""The meaning of events: the apps they are about, the builds that count, and the reports to send."""
