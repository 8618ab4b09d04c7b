"""The event library: log, relay, consumer, work tables, and the catalogue of what can happen."""
