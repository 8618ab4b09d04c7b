"""Tables in memory with what the library relies on: READ COMMITTED, row locks, commits that are all or nothing.

A statement sees what was committed when it began. Where it meets a locked row it waits, and then looks at that row
again as it is now, as PostgreSQL does; a lock is held until the transaction ends.
"""

from collections.abc import Callable, Mapping
from itertools import count
from random import Random
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg

Row: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[Any, ...]
Table: TypeAlias = dict[Key, Row]

NAMES = ("feed", "log", "idempotency", "checkpoint", "lease", "parked", "discarded", "act", "letter", "effect")


class Blocked(Exception):
    """A row is locked by another transaction: wait for its end."""

    def __init__(self, holder: "Transaction") -> None:
        super().__init__("a lock is held")
        self.holder = holder


class Store:
    """What is committed. `on_commit` is told what a transaction wrote, before anybody else can see it."""

    def __init__(self, clock: Callable[[], float], chance: Random) -> None:
        self.tables: dict[str, Table] = {name: {} for name in NAMES}
        self.locks: dict[tuple[str, Key], Transaction] = {}
        self.clock = clock
        self._chance = chance
        self._numbers = count(1)
        self.before_commit: list[Callable[[Transaction], None]] = []
        self.after_commit: list[Callable[[Transaction], None]] = []

    def begin(self) -> "Transaction":
        return Transaction(self)

    def new_id(self) -> UUID:
        """`gen_random_uuid()`."""
        return UUID(int=self._chance.getrandbits(128))

    def number(self) -> int:
        """A sequence: what a roll-back leaves out stays out."""
        return next(self._numbers)


class Transaction:
    """One transaction; `say` collects its notifications, which are sent if it commits."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.writes: dict[str, dict[Key, Row | None]] = {}
        self.held: list[tuple[str, Key]] = []
        self.said: list[tuple[str, str]] = []
        self.waiters: list[Callable[[], None]] = []
        self.session: Any = None
        self.actor: Any = None
        self.failed = False
        self.open = True
        self._seen: dict[str, Table] | None = None

    def now(self) -> float:
        """The database's clock."""
        return self.store.clock()

    # A statement

    def statement(self) -> dict[str, dict[Key, Row | None]]:
        """Begin a statement: it sees what is committed now. What it is given back undoes it."""
        self._seen = None
        return {name: dict(rows) for name, rows in self.writes.items()}

    def wait(self) -> None:
        """The statement has to wait: what it saw so far is what it goes on to see."""
        if self._seen is None:
            self._seen = {name: dict(rows) for name, rows in self.store.tables.items()}

    def look_again(self) -> None:
        """A new statement inside a function: it sees what was committed meanwhile."""
        self._seen = None

    def rows(self, table: str) -> Mapping[Key, Row]:
        """What the statement sees."""
        base = (self._seen or self.store.tables)[table]
        mine = self.writes.get(table)
        if not mine:
            return base
        return {key: row for key, row in (base | mine).items() if row is not None}

    def get(self, table: str, key: Key) -> Row | None:
        """One row as the statement sees it."""
        mine = self.writes.get(table, {})
        return mine[key] if key in mine else (self._seen or self.store.tables)[table].get(key)

    def lock(self, table: str, key: Key) -> Row | None:
        """Lock a row, there or not, and look at it as it is now; raises `Blocked`."""
        place = (table, key)
        holder = self.store.locks.get(place)
        if holder is None:
            self.store.locks[place] = self
            self.held.append(place)
        elif holder is not self:
            raise Blocked(holder)
        mine = self.writes.get(table, {})
        return mine[key] if key in mine else self.store.tables[table].get(key)

    def is_locked(self, table: str, key: Key) -> bool:
        """Whether somebody else holds a row (`skip locked`)."""
        return self.store.locks.get((table, key), self) is not self

    def is_new(self, table: str, key: Key) -> bool:
        """`on conflict do nothing`: whether there is no such row. Waits for whoever inserts or changes it."""
        holder = self.store.locks.get((table, key))
        if key in self.store.tables[table] and (holder is None or key not in holder.writes.get(table, {})):
            return False
        return self.lock(table, key) is None

    def put(self, table: str, key: Key, row: Row | None) -> None:
        """Write a row, or None to delete it."""
        self.lock(table, key)
        self.writes.setdefault(table, {})[key] = row

    def insert(self, table: str, key: Key, row: Row) -> None:
        """Insert a row; raises `UniqueViolationError`."""
        if self.lock(table, key) is not None:
            raise asyncpg.UniqueViolationError(f"{table}_pkey")
        self.put(table, key, row)

    # Its end

    def commit(self) -> None:
        """All of it becomes visible at once."""
        for check in self.store.before_commit:
            check(self)
        for name, rows in self.writes.items():
            table = self.store.tables[name]
            for key, row in rows.items():
                if row is None:
                    table.pop(key, None)
                else:
                    table[key] = row
        written = bool(self.writes)
        self._end()
        if written:
            for check in self.store.after_commit:
                check(self)

    def roll_back(self) -> None:
        """Nothing of it ever was."""
        self.writes = {}
        self.said = []
        self._end()

    def _end(self) -> None:
        self.open = False
        for place in self.held:
            del self.store.locks[place]
        self.held = []
        waiters, self.waiters = self.waiters, []
        for wake in waiters:
            wake()
