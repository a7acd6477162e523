#!/usr/bin/env python3
"""The arithmetic of docs/costs.md: prices, assumptions, and what follows. Prints the tables, or with `--write` puts them into
the document; with `--check` fails if they are not what stands there.
"""

import argparse
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOCUMENT = os.path.join(ROOT, "docs", "costs.md")
BEGIN, END = "<!-- costs: begin -->\n", "<!-- costs: end -->\n"
MILLION = 1_000_000

# List prices in us-east-1 in US dollars, as known in 2026-11, without free tiers and discounts by volume.
PRICES = {
    "API Gateway, a million requests to an HTTP API": 1.00,
    "Lambda, a million invocations": 0.20,
    "Lambda, a GB-second on x86": 0.0000166667,
    "DynamoDB, a million write units on demand": 0.625,
    "DynamoDB, a million read units on demand": 0.125,
    "DynamoDB, a GB and month": 0.25,
    "DynamoDB, a GB and month of point-in-time recovery": 0.20,
    "EventBridge, a million events of one's own": 1.00,
    "SQS, a million requests": 0.40,
    "S3, a thousand writes": 0.005,
    "S3, a thousand reads": 0.0004,
    "S3, a GB and month": 0.023,
    "Step Functions, a thousand transitions": 0.025,
    "Secrets Manager, a secret and month": 0.40,
    "Secrets Manager, ten thousand calls": 0.05,
    "CloudWatch Logs, a GB taken in": 0.50,
    "CloudWatch, a metric and month": 0.30,
    "CloudWatch, an alarm and month": 0.10,
    "CloudWatch, a dashboard and month": 3.00,
    "X-Ray, a million traces": 5.00,
    "transfer out, a GB": 0.09,
}

# What is assumed of an event: rounded up, and on the dear side.
INBOX_KB, RECORD_KB, AUDIT_KB = 1, 2, 2      # a row, in units of a write
WEBHOOK_S, SYNC_S, NOTIFY_S, DELIVER_S = 0.015, 0.5, 0.03, 0.02  # billed time; sync's is the two providers'
SMALL, DEFAULT, BATCH = 0.125, 0.25, 1.0     # GB of memory, as in the template
LOG_KB = {"gateway": 0.4, "webhook": 2.4, "sync-event": 2.2, "notify": 1.4, "deliver": 1.0}
TRACES, SAMPLED = 4, 1.0                      # one a function; Lambda takes the first of each second, and 5 % of the rest
OUT_KB = 3                                    # what is sent to the providers
METRICS = 90                                  # distinct metrics of a month with one source, alarms' and ours
# What is assumed of a night.
PAGE, PACE = 100, 163                         # records a page; records a second at the source's pace (docs/performance.md)
LISTED_KB = 1.71                              # a record in the archive, all sides and what is compared
OBJECTS = 0.0475                              # objects a record in the archive
DRIFT = 0.005                                 # what is repaired
MONTH_HOURS = 730


def price(name):
    return PRICES.get(name) or next(value for full, value in PRICES.items() if full.startswith(name))


def invoked(count, seconds, memory):
    return count / MILLION * price("Lambda, a million") + count * seconds * memory * price("Lambda, a GB-second")


def written(units):
    return units / MILLION * price("DynamoDB, a million write")


def was_read(units):
    return units / MILLION * price("DynamoDB, a million read")


def logged(kilobytes):
    return kilobytes / MILLION * price("CloudWatch Logs")


# Write units of one event that is synced.
WRITES = {
    "accept: the inbox row": INBOX_KB,
    "accept: its entry in the index `pending`": 1,
    "claim: the record": RECORD_KB,
    "commit, in a transaction, so twice: the record": 2 * RECORD_KB,
    "commit, twice: the audit row": 2 * AUDIT_KB,
    "commit, twice: the inbox row, settled": 2 * INBOX_KB,
    "its entry in `pending`, removed": 1,
    "the record's entry in the index `listed`, moved": 2,
}


def a_million_synced():
    """Dollars for a million events that came by webhook and were synced, none of them batched."""
    n = MILLION
    return {
        "API Gateway: 1 request": n / MILLION * price("API Gateway"),
        f"`webhook`: 1 invocation of {WEBHOOK_S * 1000:.0f} ms at {DEFAULT * 1024:.0f} MB": invoked(n, WEBHOOK_S, DEFAULT),
        f"DynamoDB: {sum(WRITES.values())} write units": written(n * sum(WRITES.values())),
        f"`sync-event`: 1 invocation of {SYNC_S * 1000:.0f} ms at {DEFAULT * 1024:.0f} MB": invoked(n, SYNC_S, DEFAULT),
        f"`notify`: 1 invocation of {NOTIFY_S * 1000:.0f} ms at {SMALL * 1024:.0f} MB": invoked(n, NOTIFY_S, SMALL),
        "EventBridge: 1 event": n / MILLION * price("EventBridge"),
        "SQS: in, out, deleted": 3 * n / MILLION * price("SQS"),
        f"`deliver`: 1 invocation of {DELIVER_S * 1000:.0f} ms at {SMALL * 1024:.0f} MB": invoked(n, DELIVER_S, SMALL),
        f"logs: {sum(LOG_KB.values()):.1f} KB": logged(n * sum(LOG_KB.values())),
        f"X-Ray: {TRACES} traces, of which {SAMPLED:.0%} are taken": n * TRACES * SAMPLED / MILLION * price("X-Ray"),
        f"transfer out: {OUT_KB} KB": n * OUT_KB / MILLION * price("transfer out"),
    }


def a_million_of(kind):
    """Dollars for a million of something else."""
    n, gateway = MILLION, price("API Gateway")
    webhook = invoked(n, WEBHOOK_S, DEFAULT) + logged(n * (LOG_KB["gateway"] + LOG_KB["webhook"]))
    return {
        # A condition that fails costs what the row that is there would.
        "duplicates": gateway + webhook + written(n * INBOX_KB),
        "deliveries that are not proven": gateway + webhook,
        # The row, the pointer (in, out, deleted), one more read, and half the time, since the provider failed.
        "failed attempts": written(n * (INBOX_KB + 1 + 2 * RECORD_KB)) + was_read(n) + 3 * price("SQS")
                           + invoked(n, SYNC_S, DEFAULT) + logged(n * LOG_KB["sync-event"]),
        "notifications to one endpoint": 3 * price("SQS") + invoked(n, 0.3, SMALL) + logged(n * LOG_KB["deliver"])
                                         + n * 1.5 / MILLION * price("transfer out"),
        "reads of one record through the API": gateway + 2 * invoked(n, 0.02, DEFAULT) + was_read(n)
                                               + logged(n * 4) + n * 2 / MILLION * price("transfer out"),
    }[kind]


def a_night(records):
    """Dollars for a comparison of so many records on each side, and the checkpoint after it."""
    listing = records / PACE
    partitions = min(256, -(-records // 4000))
    objects = records * OBJECTS
    repairs = records * DRIFT
    return {
        "`batch-sync`: both listings at the source's pace, 1,024 MB": invoked(2 * (listing // 780 + 1), 0, BATCH)
                                                                     + invoked(1, 2 * listing, BATCH),
        "`batch-sync`: the rest": invoked(3 * partitions, 0, BATCH) + invoked(1, records * 0.0003, BATCH),
        "DynamoDB: all records read twice": was_read(2 * records * RECORD_KB / 4),
        f"DynamoDB: {DRIFT:.1%} repaired": written(repairs * (RECORD_KB + 2 * RECORD_KB + 2 * AUDIT_KB + 2)),
        "S3: written and read once": objects / 1000 * (price("S3, a thousand writes") + price("S3, a thousand reads")),
        "S3: kept for 7 days, and 30 as a replaced version": records * LISTED_KB / MILLION * 37 / 30 * price("S3, a GB"),
        "Step Functions: transitions": (60 + 6 * partitions) / 1000 * price("Step Functions"),
    }


def a_month_of_nothing():
    with open(os.path.join(ROOT, "template.yaml")) as file:
        template = file.read()
    count = lambda kind: len(re.findall(rf"^    Type: {kind}\n(?!    Condition:)", template, re.MULTILINE))
    # What has a condition is off unless it is asked for, but for one of the two destinations' secrets.
    secrets, alarms = count("AWS::SecretsManager::Secret") + 1, count("AWS::CloudWatch::Alarm")
    every_five_minutes = MONTH_HOURS * 12
    return {
        f"{secrets} secrets": secrets * price("Secrets Manager, a secret"),
        # Five functions kept warm, each asking every five minutes for some five secrets.
        "calls of Secrets Manager": 5 * 5 * every_five_minutes / 10_000 * price("Secrets Manager, ten"),
        f"{alarms} alarms": alarms * price("CloudWatch, an alarm"),
        "a dashboard": price("CloudWatch, a dashboard"),
        f"{METRICS} metrics": METRICS * price("CloudWatch, a metric"),
        "a poll every five minutes, a second each": invoked(every_five_minutes, 1, BATCH),
        "a look at subscriptions every hour, a second each": invoked(MONTH_HOURS, 1, BATCH),
        "a sweep every five minutes, over 16 shards": invoked(every_five_minutes, 0.2, DEFAULT)
                                                      + was_read(every_five_minutes * 16),
        # Five pollers wait on each of two queues, for twenty seconds each time.
        "queues that are asked while empty": 2 * 5 * 3 * 60 * MONTH_HOURS / MILLION * price("SQS"),
    }


def kept():
    """Dollars a month for what is kept of a million."""
    gigabyte = price("DynamoDB, a GB and month") + price("DynamoDB, a GB and month of point-in-time recovery")
    return {
        "records": RECORD_KB * gigabyte,
        "audit rows": AUDIT_KB * gigabyte,
        "deliveries, for the 30 days that they are kept": INBOX_KB * gigabyte,
    }


def shown(value):
    return f"{value:.10f}".rstrip("0") if value < 0.001 else f"{value:g}"


def table(head, rows, digits=2, total=None):
    lines = [f"| {head} | $ |", "|---|---:|"]
    lines += [f"| {name} | {value:.{digits}f} |" for name, value in rows.items()]
    if total:
        lines.append(f"| **{total}** | **{sum(rows.values()):.{digits}f}** |")
    return "\n".join(lines)


def document():
    others = ["duplicates", "deliveries that are not proven", "failed attempts", "notifications to one endpoint",
              "reads of one record through the API"]
    writes = "\n".join(["| write units of one event | |", "|---|---:|", *(f"| {name} | {units} |" for name, units in WRITES.items()),
                        f"| **all** | **{sum(WRITES.values())}** |"])
    nights = {records: a_night(records) for records in (100_000, MILLION)}
    night = ["| a night | 100,000 records | 1,000,000 records |", "|---|---:|---:|"]
    night += [f"| {name} | {nights[100_000][name]:.3f} | {value:.3f} |" for name, value in nights[MILLION].items()]
    night.append(f"| **all, $** | **{sum(nights[100_000].values()):.2f}** | **{sum(nights[MILLION].values()):.2f}** |")
    night.append(f"| **a month of nights, $** | **{30 * sum(nights[100_000].values()):.2f}** | **{30 * sum(nights[MILLION].values()):.2f}** |")
    return "\n\n".join([
        "### A million events, synced", table("for a million webhook events", a_million_synced(), total="all"), writes,
        "### A million of something else", table("for a million", {name: a_million_of(name) for name in others}),
        "### A night's comparison", "\n".join(night),
        "### A month in which nothing comes", table("a month", a_month_of_nothing(), total="all"),
        "### What is kept", table("a month, for each million", kept()),
        "### Prices", "\n".join(["| list price, us-east-1, as known in 2026-11 | $ |", "|---|---:|",
                                 *(f"| {name} | {shown(value)} |" for name, value in PRICES.items())]),
    ])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--write", action="store_true", help="put the tables into docs/costs.md")
    way.add_argument("--check", action="store_true", help="fail if docs/costs.md has others")
    options = parser.parse_args()
    tables = f"\n{document()}\n\n"
    if not (options.write or options.check):
        print(tables.strip())
        return 0
    with open(DOCUMENT) as file:
        text = file.read()
    before, rest = text.split(BEGIN)
    there, after = rest.split(END)
    if options.check:
        if there != tables:
            print("docs/costs.md is stale: python3 tools/costs.py --write", file=sys.stderr)
        return int(there != tables)
    with open(DOCUMENT, "w") as file:
        file.write(before + BEGIN + tables + END + after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
