"""What a provider answers is read without trust."""

import httpx
import pytest

from notifier.providers import not_now


@pytest.mark.parametrize("when", ["Tue, 24 Nov 2026 10:00:00 -0000", "Tue, 24 Nov 2026 10:00:00", "soon", "²"])
def test_a_time_to_come_back_that_is_none_is_passed_over(when: str) -> None:
    response = httpx.Response(503, headers=[(b"retry-after", when.encode())])
    assert not_now(response).after is None
