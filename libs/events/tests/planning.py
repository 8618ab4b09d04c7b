"""What the plan of a query reads, as `explain (format json)` tells it."""

from collections.abc import Iterator
from typing import Any


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each step of a plan."""
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)


def read_whole(plan: dict[str, Any]) -> set[str]:
    """The tables that a plan reads without an index."""
    return {each["Relation Name"] for each in nodes(plan) if each["Node Type"] == "Seq Scan"}


def scans(plan: dict[str, Any]) -> set[str]:
    """The indexes that a plan reads, and the tables without one."""
    indexes = {each["Index Name"] for each in nodes(plan) if "Index Name" in each}
    return indexes | {f"all of {table}" for table in read_whole(plan)}
