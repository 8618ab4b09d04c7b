"""The library under virtual time: its real code, a simulated database and stream, and a scheduler with a seed.

`world` starts processes and breaks things, `invariants` says what must hold, `bugs` breaks the code on purpose,
`python -m simulation` runs histories. See docs/adr/0021.
"""
