"""Benchmarks: what this code does on this machine, beside what it is compared with. See README.md here."""
