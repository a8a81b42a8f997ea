"""Runs wrk upon a plan: the cheapest client for GET, PUT and listings."""

import math
import resource
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.plan import Plan
from bench.report import Load
from bench.wrk_script import UnreadableOutput, parse_output, render_requests, render_script

_RESPONSE_TIMEOUT_S = 30
_GRACE_S = 60


def find_wrk() -> str | None:
    """The path of wrk, or None where it is not installed."""
    return shutil.which("wrk")


def drive(plan: Plan, *, connections: int, duration_s: float) -> Load:
    """Send the plan again and again for `duration_s`, in whole seconds; raises UnreadableOutput."""
    program = find_wrk()
    if program is None:
        raise UnreadableOutput("wrk is not installed")
    with tempfile.TemporaryDirectory(prefix="bench-wrk-") as folder:
        script, requests, body = (Path(folder) / name for name in ("plan.lua", "requests", "body"))
        requests.write_text(render_requests(plan))
        body.write_bytes(plan.body)
        script.write_text(render_script(plan, requests_path=str(requests), body_path=str(body)))
        seconds = math.ceil(duration_s)
        # One thread drives 16 connections far beyond what a store of a few cores answers.
        command = [program, "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
        command += ["--timeout", f"{_RESPONSE_TIMEOUT_S}s", "--script", str(script)]
        command += [f"{plan.endpoint.scheme}://{plan.endpoint.authority}/"]
        cpu_before_s = _children_cpu_s()
        try:
            result = subprocess.run(
                command, capture_output=True, text=True, timeout=seconds + _GRACE_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise UnreadableOutput(f"wrk did not end within {seconds + _GRACE_S} s") from error
        cpu_us = (_children_cpu_s() - cpu_before_s) * 1e6
    if result.returncode != 0:
        raise UnreadableOutput(f"wrk failed ({result.returncode}): {result.stderr.strip()[-400:]}")
    return replace(parse_output(result.stdout, plan), client_cpu_us=cpu_us)


def _children_cpu_s() -> float:
    # Only wrk ends between the two readings: nothing else is waited for meanwhile.
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
