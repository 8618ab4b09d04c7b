"""What Schemathesis cannot guess from the document: who is signed in, ids that exist, codes from the answer.

A new route is covered as it is. Where it needs more than ids and words, it is one line in `FILL` (what to put into a
request that should succeed) or in `ENDS` (it ends the session, or the person, that it is called with).
"""

import atexit
import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from schemathesis import AuthContext, Case, CheckContext, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.generation import GenerationMode

GATEWAY = httpx.Client(base_url=os.environ["GATEWAY"], timeout=10)
FIGURES = os.environ["FIGURES"]
MAILS = Path(os.environ["MAILS"])
LINK = re.compile(rb"/mail/unsubscribe/([\w.-]+)>")
OURS = {"etag", "location", "link", "retry-after", "x-event-position", "idempotency-replayed", "www-authenticate"} | {
    "x-metric-version",
    "x-archive-position",
    "x-reflects",
}

# Called with a session of their own, which they end.
ENDS = {"users_leave", "users_logout", "users_revoke"}

# Called by somebody who has the role, so that more is tried than the guard before them.
FOR_OPERATORS = re.compile("activity_browse_all|.*_(browse_parked|show_parked|act|browse_acts)")

# Deleting hides a to-do for a while; these are documented to work on a hidden one.
WORK_ON_DELETED = {"todos_restore", "todos_undo", "todos_history"}

figures: dict[str, Counter[str]] = defaultdict(Counter)
cursors: dict[str, str] = {}
addresses: dict[str, str] = {}


def sign_in(email: str = "") -> dict[str, Any]:
    challenge = ask_for_code(email or address())
    body = {name: challenge[name] for name in ("email", "challenge_id", "otp_code")}
    return data(GATEWAY.post("/users/verify-otp", json=body))


def ask_for_code(email: str) -> dict[str, Any]:
    return data(GATEWAY.post("/users/request-otp", json={"email": email}))


def data(answer: httpx.Response) -> Any:
    answer.raise_for_status()
    return answer.json()["data"]


def address() -> str:
    return f"{secrets.token_hex(6)}@example.com"


@cache
def operator() -> str:
    """The address of somebody who was given the role."""
    email: str = sign_in()["user"]["email"]
    subprocess.run([sys.executable, "-m", "local", "grant", email, "operator"], check=True, timeout=60)
    return email


@cache
def operators_token(_span: int) -> str:
    """A token for a span of time, which is shorter than it lives."""
    token: str = sign_in(operator())["access_token"]
    return token


@schemathesis.auth(refresh_interval=300)
class SignedIn:
    """One person for all; a new one for whom the operation throws out; an operator for what only they may do."""

    def get(self, case: Case, context: AuthContext) -> str:
        return sign_in()["access_token"]

    def set(self, case: Case, token: str, context: AuthContext) -> None:
        if operation_id(case) in ENDS:
            session = sign_in()
            token = session["access_token"]
            addresses[f"Bearer {token}"] = session["user"]["email"]
        elif FOR_OPERATORS.fullmatch(operation_id(case)):
            token = operators_token(int(time.time()) // 300)
        case.headers["Authorization"] = f"Bearer {token}"


@schemathesis.hook
def filter_case(context: HookContext, case: Case) -> bool:
    """What is taken kindly is no invalid value: for an absent parameter an empty one or `null`, for a time seconds."""
    if is_positive(case):
        return True
    times = {one["name"] for one in case.operation.definition.raw["parameters"] if is_time(one.get("schema", {}))}
    query = [
        (name, one)
        for name, value in (case.query or {}).items()
        for one in (value if isinstance(value, list) else [value])
    ]
    return not any(
        one is None or one in ("", "null") or (name in times and isinstance(one, int | float | str) and is_number(one))
        for name, one in query
    )


def is_time(schema: dict[str, Any]) -> bool:
    return schema.get("format") == "date-time"


def is_number(value: float | str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def agreed(value: Any) -> Any:
    """What both sides judge alike.

    JSON Schema takes 1.0 for an integer, which no JSON library writes and ours does not read. Blank is what Python
    calls so, and that is more than a pattern's `\\S` in JavaScript (U+001C to U+001F, U+0085).
    """
    if isinstance(value, dict):
        return {name: agreed(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [agreed(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return "x" if isinstance(value, str) and value and not value.strip() else value


def fill_address(case: Case) -> None:
    case.body["email"] = address()
    case.body.pop("device_token", None)


def fill_code(case: Case) -> None:
    case.body.update(ask_for_code(address()))
    case.body.pop("device_token", None)


def fill_own_code(case: Case) -> None:
    challenge = ask_for_code(addresses[case.headers["Authorization"]])
    case.body.update({name: challenge[name] for name in ("challenge_id", "otp_code")})


def fill_refresh_token(case: Case) -> None:
    case.body["refresh_token"] = sign_in()["refresh_token"]


def fill_deadline(case: Case) -> None:
    """A zone that exists; a rule that comes again, which needs a deadline and its zone, and keeps them."""
    for todo in with_deadlines(case.body):
        for name in ("due_at", "due_zone"):
            if todo.get(name, "") is None:
                del todo[name]
        if todo.get("due_zone") is not None:
            todo["due_zone"] = "Asia/Seoul"
        if todo.get("recurrence") is not None:
            todo |= {"recurrence": "FREQ=DAILY", "due_zone": "Asia/Seoul", "due_at": "2030-01-01T00:00:00Z"}


def with_deadlines(body: Any) -> Iterator[dict[str, Any]]:
    """Every to-do in a body, however deep."""
    if isinstance(body, dict) and {"due_at", "due_zone", "recurrence"} & body.keys():
        yield body
    inner = body.values() if isinstance(body, dict) else body if isinstance(body, list) else ()
    for one in inner:
        yield from with_deadlines(one)


def fill_profile(case: Case) -> None:
    """A name of one line, a zone that exists, quiet hours from and to or none."""
    quiet = [case.body.pop(name) for name in ("quiet_from", "quiet_to") if name in case.body]
    if quiet:
        case.body |= dict.fromkeys(("quiet_from", "quiet_to"))
    if any(quiet):
        case.body |= {"quiet_from": "22:00", "quiet_to": "07:00"}
    known = {"name": "Ann", "timezone": "Asia/Seoul"}
    case.body.update({name: value for name, value in known.items() if case.body.get(name) is not None})


def fill_filters(case: Case) -> None:
    """Deleted ones are sorted by when they were created, and a cursor is one of its own order."""
    case.query.update({"sort": "created"} if {"deleted", "cursor"} & case.query.keys() else {})


def fill_position(case: Case) -> None:
    case.query.update({"since": 0} if "since" in case.query else {})


def fill_moment(case: Case) -> None:
    case.query.update({"at": "2100-01-01T00:00:00Z"} if "at" in case.query else {})


def delete_before(case: Case) -> None:
    token = {"Authorization": case.headers.get("Authorization", "")}
    GATEWAY.delete(case.formatted_path.removesuffix("/restore"), headers=token)


def fill_metric(case: Case) -> None:
    """One's own days, as of a position that there is."""
    case.query.pop("user_id", None)
    case.query.update({"as_of": "0"} if "as_of" in case.query else {})


def fill_device(case: Case) -> None:
    """A token of its own, as every device has; a subscription at a push service."""
    if case.body["service"] == "web":
        case.body["endpoint"] = f"https://updates.push.services.mozilla.com/{secrets.token_hex(8)}"
    else:
        case.body["token"] = secrets.token_hex(8)


def fill_choice(case: Case) -> None:
    """An act on everything: one that names events too is about nothing clear."""
    for name in ("feed", "seq", "key", "reason"):
        case.body.pop(name, None)
    case.body["all"] = True


FILL: dict[str, Callable[[Case], None]] = {
    **{f"{tag}_act": fill_choice for tag in ("todos", "activity", "mail", "notifications")},
    "analytics_tell": fill_metric,
    "notifications_register": fill_device,
    "todos_add": fill_deadline,
    "todos_edit": fill_deadline,
    "todos_batch": fill_deadline,
    "todos_browse": fill_filters,
    "todos_changes": fill_position,
    "todos_show": fill_moment,
    "todos_restore": delete_before,
    "users_request_otp": fill_address,
    "users_verify_otp": fill_code,
    "users_refresh": fill_refresh_token,
    "users_leave": fill_own_code,
    "users_change": fill_profile,
}


def newest_event(case: Case) -> str:
    """The event of the newest entry in the person's activity."""
    headers = {"Authorization": case.headers.get("Authorization", "")}
    entries = GATEWAY.get("/activity", headers=headers).json().get("data") or []
    return next((entry["id"] for entry in entries), "none")


NAMED: dict[str, Callable[[Case], str]] = {
    "token": lambda _: link_token(),
    "metric": lambda _: "daily",
    "feed": lambda _: "TODOS",
    "seq": lambda _: "1",
    "request_or_event": newest_event,
}
HEADERS: dict[str, Callable[[], str]] = {
    "If-Match": lambda: "*",
    "Idempotency-Key": lambda: secrets.token_hex(8),
    "X-Min-Position": lambda: "TODOS:0",
}


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Give a request that is meant to succeed what exists; now and then, add what the operation says not to know."""
    if not is_positive(case):
        return
    if case.meta.phase.name != "stateful":  # a step after others has its ids from them
        for name in case.path_parameters or {}:
            case.path_parameters[name] = NAMED.get(name, existing)(case)
    case.headers.update({name: make() for name, make in HEADERS.items() if name in case.headers})
    if "cursor" in (case.query or {}):
        case.query["cursor"] = cursors.get(operation_id(case), "")
    if isinstance(case.body, dict):
        case.body = agreed(case.body)
    if isinstance(case.body, dict) or case.operation.definition.raw.get("requestBody") is None:
        FILL.get(operation_id(case), lambda _: None)(case)
    if not secrets.randbelow(8):
        case.headers.update(dict.fromkeys({"If-Match", "X-Min-Position"} - declared_parameters(case), '"0"'))


@schemathesis.hook
def after_call(context: HookContext, case: Case, response: Response) -> None:
    """Count how requests ended that should succeed, and keep the cursors that were given.

    A step after others is not counted: with what was deleted before, it should not.
    """
    public = not case.operation.definition.raw["security"]
    alone = is_positive(case) and case.meta.phase.name != "stateful"
    meant_well = alone and (public or "Authorization" in case.headers)
    figures[operation_id(case)][str(response.status_code) if meant_well else "other"] += 1
    in_order = (case.query or {}).get("sort", "created") == "created"
    if in_order and response.status_code == 200 and "application/json" in response.headers.get("content-type", [""])[0]:
        cursors[operation_id(case)] = response.json().get("next_cursor") or cursors.get(operation_id(case), "")


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case, response: Response) -> bool:
    """A deleted to-do that is still there where that is said of it."""
    return not (type(failure).__name__ == "UseAfterFree" and operation_id(case) in WORK_ON_DELETED)


@schemathesis.check
def every_header_is_described(context: CheckContext, response: Response, case: Case) -> None:
    """A header of ours that an answer brings is in the description of that answer."""
    described = case.operation.responses.find_by_status_code(response.status_code)
    if described is None:
        return
    known = {name.lower() for name in described.definition.get("headers", {})}
    surplus = {name for name in response.headers if name.lower() in OURS} - known
    assert not surplus, f"{response.status_code} brings {surplus}, which its description does not name"


def is_positive(case: Case) -> bool:
    return case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE


def operation_id(case: Case) -> str:
    return case.operation.definition.raw["operationId"]


def declared_parameters(case: Case) -> set[str]:
    named = case.operation.definition.raw["parameters"]
    return {one.get("name") or one["$ref"].rpartition("/")[2] for one in named}


def existing(case: Case) -> str:
    """The id of something below the path's collection: made there, else the newest of the list."""
    collection = case.path.partition("/{")[0]
    headers = {"Authorization": case.headers.get("Authorization", "")}
    methods = case.operation.schema.raw_schema["paths"].get(collection, {})
    if "post" in methods:
        example = methods["post"]["requestBody"]["content"]["application/json"]["example"]
        # A recurrence would forbid deadlines that are fine otherwise.
        body = {name: None if name == "recurrence" else value for name, value in example.items()}
        return GATEWAY.post(collection, json=body, headers=headers).json().get("data", {}).get("id", "")
    return next((one["id"] for one in data(GATEWAY.get(collection, headers=headers))), "")


@cache
def link_token() -> str:
    """The token of the link in the first letter to somebody new: who else got letters may be erased by now."""
    person = sign_in()["user"]["email"].encode()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for file in MAILS.glob("*.eml"):
            letter = file.read_bytes()
            if person in letter and (found := LINK.search(letter)):
                return found[1].decode()
        time.sleep(0.1)
    raise TimeoutError("no letter with a link came")


@atexit.register
def keep_figures() -> None:
    Path(FIGURES).write_text(json.dumps(figures, indent=1))
