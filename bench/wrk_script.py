"""The Lua script and request file that make wrk send a plan, and the reading of what it prints. Pure.

wrk reads any response to HEAD as if a body followed, and can neither stop after a number of requests nor send
a request just once: such plans belong to the asyncio client. Source: https://github.com/wg/wrk/blob/master/SCRIPTING
"""

import json

from bench.plan import Plan, Repeat
from bench.report import Latency, Load
from bench.workload import KIB, Operation

DRIVER = "wrk"
_MARK = "BENCH-RESULT "
# Measured upon a server that only reads: a PUT of 4 KiB costs wrk 8 µs and the asyncio client 10, one of
# 64 KiB 32 and 14, one of 1 MiB 930 and 190.
_COPIED_BODY_BYTES_MAX = 16 * KIB

_SCRIPT = r"""
local heads = { %(heads)s }
local requests, puts, count = {}, {}, 0
-- wrk asks for one request before the run, to look at it, and never sends that one.
local index = -1
local body = ""

function init(arguments)
  local file = assert(io.open(%(body_path)s, "rb"))
  body = file:read("*a")
  file:close()
  for line in io.lines(%(requests_path)s) do
    local operation, method, target = line:match("^(%%u+) (%%u+) (.*)$")
    count = count + 1
    requests[count] = method .. " " .. target .. " HTTP/1.1\r\n" .. heads[operation]
    puts[count] = operation == "PUT"
  end
end

function request()
  index = index < count and index + 1 or 1
  local chosen = index > 0 and index or 1
  if puts[chosen] then return requests[chosen] .. body end
  return requests[chosen]
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n%(mark)s{"requests":%%d,"duration_us":%%d,"received_bytes":%%.0f,"p50_us":%%.1f,"p90_us":%%.1f,' ..
    '"p99_us":%%.1f,"max_us":%%.1f,"errors":{"cannot connect":%%d,"read failed":%%d,"write failed":%%d,' ..
    '"answered 400 or above":%%d,"timed out":%%d}}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(90),
    latency:percentile(99), latency.max, errors.connect, errors.read, errors.write, errors.status,
    errors.timeout))
end
"""


class UnreadableOutput(ValueError):
    """wrk printed no result, or not the one its script writes."""


def suits(plan: Plan) -> bool:
    """Whether wrk can send this plan faithfully."""
    operations = {request.operation for request in plan.requests}
    return plan.repeat is Repeat.CYCLE and Operation.HEAD not in operations and bool(operations)


def costs_least(plan: Plan) -> bool:
    """Whether wrk is also the cheaper client: each body that it sends is copied twice, by Lua and by wrk."""
    sends = any(request.operation is Operation.PUT for request in plan.requests)
    return suits(plan) and not (sends and len(plan.body) >= _COPIED_BODY_BYTES_MAX)


def render_script(plan: Plan, *, requests_path: str, body_path: str) -> str:
    """The Lua script for a plan whose requests and body lie in the files named."""
    present = {request.operation for request in plan.requests}
    operations = [operation for operation in Operation if operation in present]
    heads = ", ".join(
        f"{operation.name} = {_lua_string(plan.header_block(operation).decode())}" for operation in operations
    )
    return _SCRIPT % {
        "heads": heads,
        "requests_path": _lua_string(requests_path),
        "body_path": _lua_string(body_path),
        "mark": _MARK,
    }


def render_requests(plan: Plan) -> str:
    """One line per request: operation, method and target."""
    return "".join(
        f"{request.operation.name} {request.operation.method} {request.target}\n" for request in plan.requests
    )


def _lua_string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
    return f'"{escaped}"'


def parse_output(text: str, plan: Plan) -> Load:
    """Read what wrk printed into a load; raises UnreadableOutput.

    wrk counts a response of any status as a request; those of 400 and above are taken out again. Too few
    bytes for the bodies that the plan expects is an error as well: wrk itself does not look at them.
    """
    lines = [line for line in text.splitlines() if line.startswith(_MARK)]
    if not lines:
        raise UnreadableOutput(f"wrk printed no result: {text.strip()[-400:]!r}")
    try:
        found = json.loads(lines[-1].removeprefix(_MARK).replace("-nan", "0").replace("nan", "0"))
        errors = {str(reason): int(count) for reason, count in found["errors"].items() if count}
        good = int(found["requests"]) - errors.get("answered 400 or above", 0)
        received_bytes = int(found["received_bytes"])
        latency = Latency(*(found[key] / 1e3 for key in ("p50_us", "p90_us", "p99_us", "max_us")))
        elapsed_s = found["duration_us"] / 1e6
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableOutput(f"wrk printed a result that cannot be read: {lines[-1]!r}") from error
    sent_bytes, expected_bytes = _body_bytes(plan, good)
    if received_bytes < expected_bytes:
        errors["bodies shorter than they should be"] = 1
    # Listings are of no known length: what came, heads included, stands for them.
    body_bytes = sent_bytes + expected_bytes if sent_bytes or expected_bytes else received_bytes
    return Load(DRIVER, good, elapsed_s, body_bytes, latency, errors)


def _body_bytes(plan: Plan, requests: int) -> tuple[int, int]:
    """Bytes of the bodies that so many requests of the plan must have sent, and have received at least."""
    whole, part = divmod(requests, len(plan.requests))
    sent_bytes = received_bytes = 0
    for index, request in enumerate(plan.requests):
        times = whole + (1 if index < part else 0)
        if request.operation is Operation.PUT:
            sent_bytes += times * len(plan.body)
        else:
            received_bytes += times * (request.response_bytes or 0)
    return sent_bytes, received_bytes
