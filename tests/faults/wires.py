"""The wires of a world: between the services and their backing, and between people and the gateway."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

_PORTS: Final = {"nats": 16, "postgres": 17, "gateway": 19}


class Wires:
    """The process between the services and their backing, and between people and the gateway."""

    def __init__(self, base: int, targets: dict[str, int]) -> None:
        links = [f"{name}:{base + _PORTS[name]}:{target}" for name, target in targets.items()]
        self.ports = {name: base + _PORTS[name] for name in targets}
        # It ends when its stdin does: with this process, however that ends.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "faults.wire", *links],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        )

    def tell(self, name: str, word: str, seconds: float = 0.0) -> dict[str, int]:
        """Have a wire be `open`, `cut`, `slow` or `reset`; what it says of itself."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{name} {word} {seconds}\n".encode())
        process.stdin.flush()
        return msgspec.json.decode(process.stdout.readline(), type=dict[str, int])

    def stop(self) -> None:
        """End the process."""
        self._process.communicate(timeout=5)
