"""One process on the Lambda Runtime API, from its start to its last answer."""

import asyncio
import collections
import contextlib
import dataclasses
import json
import os
import subprocess
import time

from server import Server
from world import World

# What Lambda sets, for a function with JSON logs and 256 MB.
LAMBDA = {
    "AWS_LAMBDA_FUNCTION_NAME": "bench", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/bench", "AWS_LAMBDA_LOG_STREAM_NAME": "bench", "AWS_LAMBDA_LOG_FORMAT": "JSON",
    "AWS_LAMBDA_LOG_LEVEL": "INFO", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_SESSION_TOKEN": "bench",
    "TZ": ":UTC", "LANG": "en_US.UTF-8",
}
START_LIMIT, EVENT_LIMIT = 30, 1


class Broken(Exception):
    """A process that did not answer everything."""


@dataclasses.dataclass
class Run:
    """What one process did. Times in milliseconds."""

    init: float
    init_cpu: float
    cold: float
    warm: list
    cpu: float
    peak_mib: float
    answers: collections.Counter
    calls_in_init: collections.Counter
    calls: collections.Counter
    requests: collections.Counter
    connections_in_init: collections.Counter
    connections_after: collections.Counter


class Runtime:
    """The Runtime API. Each event is at hand when it is asked for, so nothing is waited for but the process."""

    def __init__(self, events, look):
        self.events, self.look = events, look
        self.asked, self.answered, self.looks = [], [], []
        self.answers = collections.Counter()
        self.done = asyncio.Event()

    async def __call__(self, method, path, headers, body):
        if not path.endswith("/invocation/next"):
            self.answered.append(time.perf_counter())
            self.answers[outcome(path, body)] += 1
            return 202, {}, b""
        number = len(self.asked)
        # When it first asks, init is over; when it asks again, so is the cold event.
        if number in (0, 1, len(self.events)):
            self.looks.append(self.look())
        if number == len(self.events):
            self.done.set()
            await asyncio.Future()
        self.asked.append(time.perf_counter())
        return 200, {
            "content-type": "application/json",
            "lambda-runtime-aws-request-id": f"00000000-0000-4000-8000-{number:012}",
            "lambda-runtime-deadline-ms": str(int((time.time() + 60) * 1000)),
            "lambda-runtime-invoked-function-arn": "arn:aws:lambda:us-east-1:000000000000:function:bench",
            "lambda-runtime-trace-id": f"Root=1-00000000-{number:024};Parent=0000000000000000;Sampled=0",
        }, self.events[number]


def outcome(path, body):
    """The status that the gateway would send, or what became of a batch."""
    if path.endswith("/error"):
        return "error"
    try:
        answer = dict(json.loads(body))
    except (TypeError, ValueError):
        return "no JSON object"
    if "batchItemFailures" in answer:
        return "to be delivered again" if answer["batchItemFailures"] else "done"
    return answer.get("statusCode")


def cpu_ms(pid):
    """User and system time of all threads, the ended ones too, in nanoseconds: the kernel's clock of another process."""
    return time.clock_gettime_ns(~pid << 3 | 2) / 1e6


def peak_mib(pid):
    with open(f"/proc/{pid}/status") as file:
        [peak] = [line.split()[1] for line in file if line.startswith("VmHWM:")]
    return int(peak) / 1024


async def run(subject, events, certificates, log_path):
    """Starts a subject, hands it these events one after the other, and ends it."""
    async with World(subject.secrets, subject.duplicates, certificates) as world:
        runtime = Runtime(events, lambda: (cpu_ms(process.pid), *world.seen()))
        async with Server(runtime) as server:
            env = {**LAMBDA, "PATH": os.environ["PATH"], "HOME": os.path.dirname(log_path), **world.env(), **subject.env,
                   "LAMBDA_TASK_ROOT": subject.cwd, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.port}"}
            with open(log_path, "wb") as log:
                started = time.perf_counter()
                process = subprocess.Popen(subject.command, env=env, cwd=subject.cwd, stdout=log, stderr=log)
            try:
                await finish(subject, process, runtime, log_path)
                peak = peak_mib(process.pid)
            finally:
                process.kill()
                process.wait()
    (init_cpu, calls_in_init, _, opened_in_init), (cold_cpu, *_), (cpu, calls, requests, opened) = runtime.looks
    return Run(
        init=(runtime.asked[0] - started) * 1e3, init_cpu=init_cpu, cold=(runtime.answered[0] - started) * 1e3,
        warm=[(answered - asked) * 1e3 for asked, answered in zip(runtime.asked[1:], runtime.answered[1:])],
        cpu=(cpu - cold_cpu) / (len(events) - 1), peak_mib=peak, answers=runtime.answers, calls_in_init=calls_in_init,
        calls=calls - calls_in_init, requests=requests, connections_in_init=opened_in_init,
        connections_after=opened - opened_in_init)


async def finish(subject, process, runtime, log_path):
    limit = time.monotonic() + START_LIMIT + EVENT_LIMIT * len(runtime.events)
    while not runtime.done.is_set():
        if process.poll() is not None or time.monotonic() > limit:
            with open(log_path, errors="replace") as log:
                tail = log.read()[-2000:]
            how = "did not answer in time" if process.returncode is None else f"ended with {process.returncode}"
            raise Broken(f"{subject.name} {how}, after {len(runtime.answered)} answers. Its last words:\n{tail}")
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(runtime.done.wait(), 0.5)
