"""The activity log and the archive of all events."""
