"""What every HTTP face shares: envelope, problems, token guard, idempotency, pages, health, metrics."""
