#!/usr/bin/env python3
"""Measures the functions as real processes on the Lambda Runtime API, against an AWS that answers at once.

Timing is printed and never fails a run; what is asserted is how many calls an event takes, that `webhook` opens no
connection after init, what is answered, and how large the zips are. docs/performance.md says how to read the figures.
Needs Linux and Python 3.10; `openssl` for --tls; for --peers also cargo and npm.
"""

import argparse
import asyncio
import collections
import dataclasses
import json
import os
import random
import statistics
import sys
import tempfile
import zipfile

# Compiled modules would name this machine, and the tree is checked for that.
sys.dont_write_bytecode = True

from process import Broken, run
from subjects import FLOOR, PYTHON, find_binary, functions, ours, peers, targets
from world import ROOT, Certificates

ZIP_LIMIT = 4_000_000
# They link a client of object storage beside the rest, and stand in no event's way.
ZIP_LIMITS = {"api": 5_000_000, "batch-sync": 5_500_000}
SETTLE = 0.1
# At most so many times the floor; at least so many times less than Python.
FLOOR_BUDGET = {"cold": 1.3, "cpu": 1.3}
PYTHON_BUDGET = {"cold": 35, "cpu": 12, "peak_mib": 7}
FIGURES = {"init": "init ms", "cold": "cold ms", "init_cpu": "init CPU", "cpu": "CPU/event", "peak_mib": "peak MiB"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    builds = [os.path.join(ROOT, ".aws-sam/build"), os.path.join(ROOT, "target/lambda")]
    parser.add_argument("--binaries", metavar="DIR", help="where each function's bootstrap is; else .aws-sam/build or target/lambda")
    parser.add_argument("--rounds", type=int, default=15, help="how many times each subject is started (%(default)s)")
    parser.add_argument("--events", type=int, default=300, help="events for each of these processes (%(default)s)")
    parser.add_argument("--tls", action="store_true", help="AWS on TLS")
    parser.add_argument("--targets", metavar="FILE", help="other commands: a JSON list of {name, command, cwd?, env?, signature_header?, secrets?}")
    parser.add_argument("--peers", metavar="DIR", help="prepares the peers in this folder, and runs them too")
    parser.add_argument("--scratch", metavar="DIR", default=os.path.join(ROOT, "target/bench"), help="where peers are prepared (target/bench)")
    parser.add_argument("--check-peers", action="store_true", help="fail over the budgets beside the peers, too")
    parser.add_argument("--json", metavar="FILE", help="writes every figure there")
    args = parser.parse_args()
    if args.rounds < 1 or args.events < 2:
        parser.error("at least one round of two events: the first one is the cold one")
    args.builds = [args.binaries] if args.binaries else builds
    return args


async def measure(subjects, args, folder):
    """Every subject in every round, so that whatever drifts hits all alike."""
    certificates = Certificates(folder) if args.tls else None
    events = {subject.name: [subject.event(10_000_000 + number) for number in range(args.events)] for subject in subjects}
    runs = {subject.name: [] for subject in subjects}
    for number in range(args.rounds + 1):
        # In another order each time: what follows a heavy process starts slower.
        for subject in random.Random(number).sample(subjects, len(subjects)):
            await asyncio.sleep(SETTLE)
            done = await run(subject, events[subject.name], certificates, os.path.join(folder, "log"))
            # The first round only fills the caches of the machine.
            if number:
                runs[subject.name].append(done)
        print(f"round {number} of {args.rounds}", file=sys.stderr)
    return {name: summary(done) for name, done in runs.items()}


def summary(runs):
    """Medians of the processes, percentiles of all warm events, sums of what was counted."""
    warm = sorted(time for run in runs for time in run.warm)
    one = {figure: statistics.median(getattr(run, figure) for run in runs) for figure in FIGURES}
    one |= {"p50": warm[len(warm) // 2], "p99": warm[len(warm) * 99 // 100], "processes": len(runs)}
    for counted in ("answers", "calls_in_init", "calls", "requests", "connections_in_init", "connections_after"):
        one[counted] = dict(sum((getattr(run, counted) for run in runs), collections.Counter()))
    return one


def zips(args):
    """The size of each function as it is uploaded."""
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        for function in functions():
            path = os.path.join(folder, function)
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.write(find_binary(function, args.builds), "bootstrap")
            sizes[function] = os.path.getsize(path)
    return sizes


def table(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) if not column else cell.rjust(width)
                        for column, (cell, width) in enumerate(zip(row, widths))).rstrip())
    print()


def report(results, sizes, args):
    base = FLOOR if FLOOR in results else next(iter(results))
    print(f"AWS {'on TLS' if args.tls else 'in plain'}; {args.rounds} processes of {args.events} events each; times in milliseconds; "
          f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    head = ["", "init", "cold", "p50", "p99", "CPU in init", "CPU/event", "peak MiB", f"cold, CPU, peak: times {base}"]
    rows = [head]
    for name, one in results.items():
        ratios = "  ".join(f"{one[figure] / results[base][figure]:5.2f}" for figure in ("cold", "cpu", "peak_mib"))
        figures = [f"{one[figure]:.2f}" for figure in ("init", "cold", "p50", "p99", "init_cpu")]
        rows.append([name, *figures, f"{one['cpu']:.3f}", f"{one['peak_mib']:.1f}", ratios])
    table(rows)
    rows = [["", "AWS calls/event", "in init", "connections in init", "after init"]]
    for name, one in results.items():
        of = lambda counted, by: ", ".join(f"{count / by:.3g} {what}" for what, count in one[counted].items()) or "none"
        processes = one["processes"]
        rows.append([name, of("calls", processes * args.events), of("calls_in_init", processes),
                     of("connections_in_init", processes), of("connections_after", processes)])
    table(rows)
    table([["zip", "bytes"], *([function, f"{size:,}"] for function, size in sizes.items())])


def checks(subjects, results, sizes, args):
    """What must hold: a text, and whether it does."""
    for subject in subjects:
        one = results[subject.name]
        events = args.events * one["processes"]
        exactly = lambda each: {what: count * events for what, count in each.items()}
        allowed = " or ".join(str(answer) for answer in subject.answers)
        yield f"{subject.name}: every answer is {allowed}: {one['answers']}", set(one["answers"]) <= set(subject.answers)
        if subject.calls is not None:
            names = " and ".join(subject.calls)
            yield f"{subject.name}: one {names} an event, and no other call to AWS: {one['calls']} for {events}", \
                one["calls"] == exactly(subject.calls)
        if subject.requests is not None:
            # The list of locations is read once and kept.
            asked = {what: count for what, count in one["requests"].items() if what != "locations"}
            yield f"{subject.name}: one fetch and one push an event: {asked} for {events}", asked == exactly(subject.requests)
        if subject.opens_nothing:
            yield f"{subject.name}: no connection after init: {one['connections_after'] or 'none'}", not one["connections_after"]
    for function, size in sizes.items():
        limit = ZIP_LIMITS.get(function, ZIP_LIMIT)
        yield f"{function}: its zip has at most {limit:,} bytes: {size:,}", size <= limit


def peer_checks(results):
    """The budgets beside the peers, all from this one run."""
    for peer, budget in ((FLOOR, FLOOR_BUDGET), (PYTHON, PYTHON_BUDGET)):
        if peer not in results:
            yield f"webhook beside {peer}: it was not run", False
            continue
        for figure, limit in budget.items():
            of_ours, theirs = results["webhook"][figure], results[peer][figure]
            if peer == FLOOR:
                ratio = of_ours / theirs
                yield f"webhook: {FIGURES[figure]} at most {limit} times {peer}: {ratio:.2f}", ratio <= limit
            else:
                ratio = theirs / of_ours
                yield f"webhook: {FIGURES[figure]} at least {limit} times less than {peer}: {ratio:.1f}", ratio >= limit


def main():
    args = arguments()
    subjects, sizes = ours(args.builds), zips(args)
    if args.peers:
        subjects += peers(args.peers, os.path.abspath(args.scratch))
    if args.targets:
        subjects += targets(args.targets)
    with tempfile.TemporaryDirectory() as folder:
        try:
            results = asyncio.run(measure(subjects, args, folder))
        except Broken as broken:
            sys.exit(str(broken))
    report(results, sizes, args)
    failed = 0
    for text, holds in checks(subjects, results, sizes, args):
        print("ok     " if holds else "FAILED ", text)
        failed += not holds
    for text, holds in peer_checks(results) if args.peers or args.check_peers else []:
        print("ok     " if holds else "FAILED " if args.check_peers else "missed ", text)
        failed += args.check_peers and not holds
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"tls": args.tls, "rounds": args.rounds, "events": args.events, "subjects": results, "zips": sizes}, file, indent=1)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
