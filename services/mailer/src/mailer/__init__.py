"""Hears what must be mailed, and mails it."""
