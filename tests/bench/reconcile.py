#!/usr/bin/env python3
"""Measures reconciliation: a dry run over providers that make as many records as asked for, in growing sizes, and beside
it a script that does the same comparison with dictionaries.

Asserted are the totals, the number of calls to each provider, and that memory does not grow with the records; times are
printed and never fail a run. docs/performance.md says how to read the figures. Needs Linux, Python 3.10 and cargo.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

# Compiled modules would name this machine, and the tree is checked for that.
sys.dont_write_bytecode = True

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPT = os.path.join(ROOT, "tests/bench/reconcile_dict.py")
BUILD = ["cargo", "build", "--release", "--locked", "--package", "certbridge-tests", "--features", "bench", "--bin", "reconcile-bench"]
BINARY = "release/reconcile-bench"

# How often each fate of a certificate comes, in so many: reconcile/certificates.rs has the same table.
PERIOD = 2000
FATES = {"edited": [100, 600, 1100, 1600], "removed": [250, 1250], "gone": [400], "changed": [700], "new": [900], "unreadable": [1500]}
# What the clients ask for at once.
SOURCE_PAGE, DESTINATION_PAGE = 50, 100
# What a report itself holds of its findings.
MOST_FINDINGS = 1000

# From this many records to ten times as many, memory may grow so, and time for each record should not.
GROWN_FROM = 100_000
MEMORY_LIMIT, TIME_BUDGET = 1.3, 1.5


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", default="10000,100000,1000000", help="how many records, one size after the other (%(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="how many times each size is run; figures are medians (%(default)s)")
    parser.add_argument("--binary", metavar="FILE", help="reconcile-bench as it was built; else it is built, with the release profile")
    parser.add_argument("--scratch", metavar="DIR", help="where the archive stands while it is needed: about 1.7 KB a record")
    parser.add_argument("--json", metavar="FILE", help="writes every figure there")
    args = parser.parse_args()
    args.records = [int(records) for records in args.records.split(",")]
    if args.rounds < 1 or min(args.records) < 1:
        parser.error("at least one round of at least one record")
    return args


def build():
    subprocess.run(BUILD, cwd=ROOT, check=True)
    metadata = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1", "--offline"],
                              cwd=ROOT, check=True, capture_output=True).stdout
    return os.path.join(json.loads(metadata)["target_directory"], BINARY)


def expected(records):
    """What must come out, by arithmetic alone."""
    of = {fate: sum((records - 1 - place) // PERIOD + 1 for place in places if place < records) for fate, places in FATES.items()}
    drift = sum(of.values())
    at_source, at_destination = records - of["gone"], records - of["removed"] - of["new"]
    outcomes = {"matched": records - drift, "mismatched": of["edited"] + of["changed"], "missing_at_source": of["gone"],
                "missing_at_destination": of["removed"] + of["new"], "invalid": of["unreadable"]}
    # A record that is gone, or of which we hold something else, is one of which no event ever arrived.
    causes = {"edited_at_destination": of["edited"] + of["removed"], "never_arrived": of["changed"] + of["new"] + of["gone"]}
    pages = lambda rows, size: -(-rows // size)
    return {
        "outcomes": {outcome: count for outcome, count in outcomes.items() if count},
        "drift": {cause: count for cause, count in causes.items() if count},
        "rows": {"source": at_source, "destination": at_destination, "own": records - of["new"]},
        # The source's last page that has items has a cursor, as documented: one more page, which is empty, ends it.
        "pages": {"source": pages(at_source, SOURCE_PAGE) + 1, "destination": pages(at_destination, DESTINATION_PAGE)},
    }


class Providers:
    """Both, in a process of their own."""

    def __init__(self, binary, records):
        self.process = subprocess.Popen([binary, "providers", str(records)], stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            raise SystemExit("the providers did not start")
        self.seen = self.requests()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def requests(self):
        with urllib.request.urlopen(self.url + "/_bench/requests") as answer:
            return json.load(answer)

    def since(self):
        """The requests since this was last asked."""
        before, self.seen = self.seen, self.requests()
        return {side: count - before[side] for side, count in self.seen.items()}


def timed(command):
    """A process from its start to its end: what it printed, and its seconds by the wall and of CPU."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    printed = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{os.path.basename(command[0])} ended with {process.returncode}")
    return json.loads(printed), {"seconds": time.perf_counter() - began, "cpu": used.ru_utime + used.ru_stime}


def run(binary, records, scratch):
    """One size once: the batch, then the script, over the same providers."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder, Providers(binary, records) as providers:
        told, ours = timed([binary, "batch", str(records), providers.url, folder])
        with open(os.path.join(folder, told["report"] + ".json")) as file:
            report = json.load(file)
        ours |= {"stages": told["stages"], "peak_kib": told["stages"][-1]["peak_kib"], "paced_seconds": told["paced_seconds"],
                 "calls": providers.since(), "pages": {side: told[side]["pages"] for side in ("source", "destination")},
                 "invocations": {side: told[side]["calls"] for side in ("source", "destination")},
                 "totals": report["totals"], "coverage": report["coverage"], "findings": len(report["findings"]),
                 "verdict": report["verdict"], "archive": weight(folder)}
        told, theirs = timed([sys.executable, SCRIPT, providers.url])
        theirs |= {"peak_kib": told["peak_kib"], "outcomes": told["outcomes"], "calls": providers.since()}
    return {"ours": ours, "dictionaries": theirs}


def weight(folder):
    files = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
    return {"files": len(files), "bytes": sum(os.path.getsize(file) for file in files)}


def checks(records, one):
    """What must hold of each run: a text, and whether it does."""
    wanted, ours, theirs = expected(records), one["ours"], one["dictionaries"]
    totals = ours["totals"]
    yield f"every record came out as it must: {totals['outcomes']}", \
        (totals["records"], totals["outcomes"], totals["drift"], totals["repaired"]) == (records, wanted["outcomes"], wanted["drift"], 0)
    yield f"the script says the same: {theirs['outcomes']}", \
        {outcome: count for outcome, count in theirs["outcomes"].items() if count} == wanted["outcomes"]
    differing = records - wanted["outcomes"].get("matched", 0)
    yield f"the report shows {min(differing, MOST_FINDINGS)} of {differing} findings: {ours['findings']}", \
        ours["findings"] == min(differing, MOST_FINDINGS)
    for side, rows in wanted["rows"].items():
        covered = ours["coverage"][side]
        yield f"{side}: {rows} rows were listed, to the end: {covered}", covered["rows"] == rows and covered["complete"]
    for side, pages in wanted["pages"].items():
        # The first look, by which the batch is cut into partitions.
        calls = pages + (side == "source")
        yield f"{side}: {pages} pages are {calls} calls: {ours['pages'][side]}, {ours['calls'][side]}", \
            (ours["pages"][side], ours["calls"][side]) == (pages, calls)


def growth_checks(results):
    """From each size to the next larger one, from a size on at which a batch has many partitions."""
    sizes = sorted(size for size in results if size >= GROWN_FROM)
    for one, other in zip(sizes, sizes[1:]):
        grown = summary(results[other])["ours"]["peak_kib"] / summary(results[one])["ours"]["peak_kib"]
        yield f"peak memory of {other:,} records at most {MEMORY_LIMIT} times that of {one:,}: {grown:.2f}", grown <= MEMORY_LIMIT


def summary(runs):
    """Medians of the rounds."""
    median = lambda who, figure: statistics.median(run[who][figure] for run in runs)
    return {who: {figure: median(who, figure) for figure in ("seconds", "cpu", "peak_kib")} for who in ("ours", "dictionaries")}


def table(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) if not column else cell.rjust(width)
                        for column, (cell, width) in enumerate(zip(row, widths))).rstrip())
    print()


def show(results, args):
    print(f"{args.rounds} round(s), medians; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    rows = [["", "records", "seconds", "records/s", "CPU s", "peak MiB", "calls", "at the pace", "script/batch: seconds", "CPU", "peak"]]
    for records, runs in results.items():
        one = summary(runs)
        ratios = [f"{one['dictionaries'][figure] / one['ours'][figure]:.2f}" for figure in ("seconds", "cpu", "peak_kib")]
        for who, name in (("ours", "batch"), ("dictionaries", "script")):
            seconds, pace = one[who]["seconds"], runs[0][who].get("paced_seconds")
            rows.append([name, f"{records:,}", f"{seconds:.1f}", f"{records / seconds:,.0f}", f"{one[who]['cpu']:.1f}",
                         f"{one[who]['peak_kib'] / 1024:.1f}", f"{sum(runs[0][who]['calls'].values()):,}",
                         f"{pace:,.0f} s" if pace else "", *(ratios if who == "ours" else ["", "", ""])])
    table(rows)
    rows = [["stage: seconds, peak MiB by its end", *(f"{records:,}" for records in results)]]
    stages = [stage["stage"] for stage in next(iter(results.values()))[0]["ours"]["stages"]]
    for place, stage in enumerate(stages):
        of = [runs[0]["ours"]["stages"][place] for runs in results.values()]
        rows.append([stage, *(f"{one['seconds']:.2f}, {one['peak_kib'] / 1024:.1f}" for one in of)])
    archives = [runs[0]["ours"]["archive"] for runs in results.values()]
    rows.append(["archive: files, MB", *(f"{one['files']:,}, {one['bytes'] / 1e6:,.0f}" for one in archives)])
    table(rows)
    sizes = sorted(size for size in results if size >= GROWN_FROM)
    for one, other in zip(sizes, sizes[1:]):
        per_record = [summary(results[size])["ours"]["seconds"] / size for size in (one, other)]
        times = per_record[1] / per_record[0]
        print("ok     " if times <= TIME_BUDGET else "missed ", f"time for each of {other:,} records at most {TIME_BUDGET} times "
              f"that of {one:,}, which fails no run: {times:.2f}")


def main():
    args = arguments()
    binary = args.binary or build()
    results = {records: [] for records in args.records}
    for number in range(args.rounds):
        for records in args.records:
            results[records].append(run(binary, records, args.scratch))
            print(f"round {number + 1} of {args.rounds}: {records:,} records", file=sys.stderr)
    show(results, args)
    failed = 0
    for text, holds in [*(check for records, runs in results.items() for one in runs for check in checks(records, one)),
                        *growth_checks(results)]:
        print("ok     " if holds else "FAILED ", text)
        failed += not holds
    if args.json:
        with open(args.json, "w") as file:
            json.dump({str(records): runs for records, runs in results.items()}, file, indent=1)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
