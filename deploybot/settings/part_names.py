"""Names of parts as values of bot.toml: senders, forges, strategies."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from deploybot.part_tables import FORGE_TABLE, SENDER_TABLE, STRATEGY_TABLE


def _one_of(names: Collection[str]) -> Callable[[str], str]:
    """Return a check that a text is one of the names of a table. Its error is that of a Literal."""

    def check(name: str) -> str:
        if name not in names:
            expected = ", ".join(f"'{one}'" for one in names)
            raise PydanticCustomError("literal_error", "should be one of {expected}", {"expected": expected})
        return name

    return check


SenderName = Annotated[str, AfterValidator(_one_of(SENDER_TABLE))]
ForgeKind = Annotated[str, AfterValidator(_one_of(FORGE_TABLE))]
StrategyName = Annotated[str, AfterValidator(_one_of(STRATEGY_TABLE))]
