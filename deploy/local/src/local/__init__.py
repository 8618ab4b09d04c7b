"""The local stack: PostgreSQL, NATS, the gateway and the services, from wheels, under one supervisor."""
