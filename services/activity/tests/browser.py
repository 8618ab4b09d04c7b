"""A Chromium without a network, asked over its own protocol: what it drew, what it asked for, what it complained of."""

import asyncio
import base64
import itertools
import json
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from local.fixtures import until

NO_NETWORK = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}


class Tab:
    """One page: `asked` are the addresses it wanted, `complaints` what went to the console and was thrown."""

    def __init__(self, socket: ClientConnection, session: str) -> None:
        self._socket = socket
        self._session = session
        self._numbers = itertools.count(10)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.asked: list[str] = []
        self.complaints: list[str] = []

    async def listen(self) -> None:
        async for text in self._socket:
            said = json.loads(text)
            given = said.get("params", {})
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            elif said["method"] == "Network.requestWillBeSent":
                self.asked.append(given["request"]["url"])
            elif said["method"] == "Runtime.exceptionThrown":
                self.complaints.append(str(given["exceptionDetails"]))
            elif said["method"] == "Runtime.consoleAPICalled" and given["type"] in {"error", "warning", "assert"}:
                self.complaints.append(str(given["args"]))
            elif said["method"] == "Log.entryAdded" and given["entry"]["level"] in {"error", "warning"}:
                self.complaints.append(given["entry"]["text"])

    async def call(self, method: str, **given: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": given, "sessionId": self._session}
        await self._socket.send(json.dumps(message))
        answer = await asyncio.wait_for(self._answers[number], 30)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    async def tell(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def show(self, *, width: int, theme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": theme}]
        await self.call("Emulation.setEmulatedMedia", features=features)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", **size)

    async def open(self, file: Path) -> None:
        await self.call("Page.navigate", url=file.as_uri())
        await until(lambda: self.tell("document.readyState === 'complete'"), within=20)

    async def picture(self, file: Path) -> None:
        """The whole page, three quarters as large."""
        size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
        answer = await self.call(
            "Page.captureScreenshot", format="png", captureBeyondViewport=True, clip={**size, "scale": 0.75}
        )
        await asyncio.to_thread(file.write_bytes, base64.b64decode(answer["data"]))


@asynccontextmanager
async def browsing(program: str, environment: Mapping[str, str] | None = None) -> AsyncIterator[Tab]:
    """A tab in a browser of its own, which reaches nobody."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            program, "--headless", "--disable-gpu", "--no-first-run", "--disable-sync", "--remote-debugging-port=0",
            "--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}",
            "--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars",
            *(["--no-sandbox"] if os.getuid() == 0 else []),
        ]  # fmt: skip
        quiet = {"stdout": asyncio.subprocess.DEVNULL, "stderr": asyncio.subprocess.DEVNULL}
        process = await asyncio.create_subprocess_exec(*command, **quiet, env={**os.environ, **(environment or {})})
        try:
            where = Path(profile) / "DevToolsActivePort"
            await until(lambda: where.exists() and len(where.read_text().splitlines()) == 2, within=30)
            port, path = where.read_text().splitlines()
            address = f"ws://127.0.0.1:{port}{path}"
            async with connect(address, max_size=None, proxy=None) as socket, asyncio.TaskGroup() as group:
                tab = Tab(socket, await _attached(socket))
                listening = group.create_task(tab.listen())
                for domain in ("Page", "Runtime", "Log", "Network"):
                    await tab.call(f"{domain}.enable")
                await tab.call("Network.emulateNetworkConditions", **NO_NETWORK)
                yield tab
                listening.cancel()
        finally:
            process.terminate()
            await process.wait()


async def _attached(socket: ClientConnection) -> str:
    """A session with a new tab."""
    target = await _asked(socket, 1, "Target.createTarget", url="about:blank")
    session = await _asked(socket, 2, "Target.attachToTarget", targetId=target["targetId"], flatten=True)
    return str(session["sessionId"])


async def _asked(socket: ClientConnection, number: int, method: str, **given: Any) -> dict[str, Any]:
    await socket.send(json.dumps({"id": number, "method": method, "params": given}))
    while True:
        said = json.loads(await socket.recv())
        if said.get("id") == number:
            return said["result"]
