"""Signs people in by e-mail code; owns accounts and sessions."""
