"""Every fault, by family."""

from faults import clocks, dying, hanging, links, posting, restarting, storage, streams, versions
from faults.fault import Fault

FAULTS: list[Fault] = [
    fault
    for family in (dying, hanging, streams, links, storage, clocks, posting, restarting, versions)
    for fault in family.FAULTS
]
