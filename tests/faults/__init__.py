"""The fault suite: load and faults on a whole stack, seen from outside, then a reconciliation of everything."""
