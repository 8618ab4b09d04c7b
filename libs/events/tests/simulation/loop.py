"""An asyncio event loop of many processes in virtual time: which of them moves next is drawn from a seed.

Nothing waits: where nobody can move, time jumps to the next timer. Within a process callbacks run in their order, as
asyncio promises; a process can be paused (its callbacks wait) or killed (they never run).
"""

import asyncio
import heapq
from asyncio import events as asyncio_events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from itertools import count
from random import Random
from typing import Any


class Process:
    """What runs together, is paused together and dies together; its clock began at a moment of its own."""

    def __init__(self, loop: "Loop", name: str, began: float) -> None:
        self.name = name
        self.began = began
        self.ready: deque[Handle] = deque()
        self.paused = False
        self.dead = False
        self.fuse = 0
        self.burn: Callable[[], None] = self.kill
        self.ends: list[Callable[[], None]] = []
        self._loop = loop
        self.context = copy_context()
        self.context.run(PROCESS.set, self)

    def step(self, handle: "Handle") -> None:
        """Run one callback; after `fuse` more of them, `burn`."""
        handle.context.run(handle.callback, *handle.args)
        if self.fuse:
            self.fuse -= 1
            if not self.fuse:
                self.burn()

    def pause(self) -> None:
        """Stop it, as SIGSTOP does: time goes on without it."""
        self.paused = True

    def resume(self) -> None:
        """Let it go on."""
        self.paused = False
        if self.ready:
            self._loop.is_ready(self)

    def kill(self) -> None:
        """It never takes another step: no `finally`, no `except`. Its sockets are closed, as by a kernel."""
        self.dead = True
        for end in self.ends:
            end()


BEGINNING = 1000.0
PROCESS: ContextVar[Process] = ContextVar("process")


class Handle:
    """A callback on its way, of one process."""

    __slots__ = ("args", "at", "callback", "context", "gone", "process")

    def __init__(
        self, callback: Callable[..., Any], args: tuple[Any, ...], context: Context, process: Process, at: float
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.process = process
        self.at = at
        self.gone = False

    def cancel(self) -> None:
        self.gone = True

    def cancelled(self) -> bool:
        return self.gone

    def when(self) -> float:
        return self.at


class Task(asyncio.Task[Any]):
    """A task that sets of tasks hold in the same order in every run."""

    _numbers = count()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.number = next(Task._numbers)
        self.process = PROCESS.get(None)
        super().__init__(*args, **kwargs)

    def __hash__(self) -> int:
        return self.number


class Loop(asyncio.AbstractEventLoop):
    """Runs tasks of many processes; `steps` counts the callbacks that ran, `errors` what nobody caught."""

    def __init__(self, chance: Random) -> None:
        self.now = BEGINNING
        self.steps = 0
        self.errors: list[str] = []
        self.tasks: list[Task] = []
        self._chance = chance
        self._runnable: list[Process] = []
        self._timers: list[tuple[float, int, Handle]] = []
        self._numbers = count()
        self._is_running = False
        self.outside = self.process("world")
        Task._numbers = count()

    # What asyncio asks of a loop

    def time(self) -> float:
        return self.now + PROCESS.get(self.outside).began

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **options: Any) -> Task:  # type: ignore[override]
        task = Task(coro, loop=self, **options)
        self.tasks.append(task)
        if len(self.tasks) > 512:
            self.tasks = [each for each in self.tasks if not each.done()]
        return task

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Handle:
        context = context or copy_context()
        handle = Handle(callback, args, context, context.get(PROCESS, self.outside), self.now)
        self._push(handle)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Handle:
        context = context or copy_context()
        process = context.get(PROCESS, self.outside)
        return self._call_at(when - process.began, callback, args, context, process)

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Handle:
        context = context or copy_context()
        return self._call_at(self.now + delay, callback, args, context, context.get(PROCESS, self.outside))

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.errors.append(f"{context['message']}: {error!r}")

    async def shutdown_asyncgens(self) -> None:
        pass

    # What the simulation asks of it

    def process(self, name: str) -> Process:
        """A new one."""
        return Process(self, name, self._chance.random())

    def spawn(self, process: Process, coro: Coroutine[Any, Any, Any]) -> Task:
        """Start a task of a process."""
        task: Task = process.context.run(self.create_task, coro)
        return task

    def later(self, delay: float, process: Process, callback: Callable[..., Any], *args: Any) -> Handle:
        """Have a process run something after `delay` seconds."""
        return self.at(self.now + delay, process, callback, *args)

    def at(self, when: float, process: Process, callback: Callable[..., Any], *args: Any) -> Handle:
        """Have a process run something at that time."""
        return self._call_at(when, callback, args, process.context, process)

    def is_ready(self, process: Process) -> None:
        """A process that was paused can move again."""
        if process not in self._runnable:
            self._runnable.append(process)

    def run(self) -> None:
        """Run until `stop` or until nothing can happen any more."""
        self._is_running = True
        asyncio_events._set_running_loop(self)
        try:
            while self._is_running and (self._step() or self._pass_time()):
                pass
        finally:
            asyncio_events._set_running_loop(None)

    def stop(self) -> None:
        """End `run` after the callback that says so."""
        self._is_running = False

    def end(self) -> None:
        """Cancel every task, also those of the dead, until all have ended; nothing of this is part of the history."""
        for task in self.tasks:
            if task.process is not None:
                task.process.dead = False
                task.process.fuse = 0
                task.process.resume()
        self.errors = []
        for _ in range(50):
            left = [task for task in self.tasks if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            self.call_later(10, self.stop)
            self.run()
        self.errors += [f"never ended: {task!r}" for task in self.tasks if not task.done()]

    def _call_at(
        self, when: float, callback: Callable[..., Any], args: tuple[Any, ...], context: Context, process: Process
    ) -> Handle:
        handle = Handle(callback, args, context, process, when)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def _push(self, handle: Handle) -> None:
        process = handle.process
        if not process.ready and not process.paused and not process.dead:
            self._runnable.append(process)
        process.ready.append(handle)

    def _step(self) -> bool:
        """Run one callback of a process that can move; whether there was one."""
        runnable = self._runnable
        while runnable:
            at = int(self._chance.random() * len(runnable)) if len(runnable) > 1 else 0
            process = runnable[at]
            if process.paused or process.dead or not process.ready:
                runnable[at] = runnable[-1]
                runnable.pop()
                continue
            handle = process.ready.popleft()
            if not process.ready:
                runnable[at] = runnable[-1]
                runnable.pop()
            if not handle.gone:
                self.steps += 1
                handle.process.step(handle)
                return True
        return False

    def _pass_time(self) -> bool:
        """Go to the next timer; whether there is one."""
        while self._timers:
            when, _, handle = heapq.heappop(self._timers)
            if not handle.gone and not handle.process.dead:
                self.now = max(self.now, when)
                if handle.process.paused:
                    handle.process.ready.append(handle)
                    continue
                self.steps += 1
                handle.process.step(handle)
                return True
        return False
