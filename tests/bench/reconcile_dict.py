#!/usr/bin/env python3
"""The comparison of a reconciliation as a script would do it: both sides listed page by page into dictionaries.

It compares the fields that the source lists, prints the same totals as a batch does, and keeps nothing: no causes of a
difference, no record of ours, no report, no checkpoint. What it is measured for is what holding both sides costs.
"""

import argparse
import collections
import http.client
import json
import time
import urllib.parse

# What the source lists, by its name at the destination.
FIELDS = {
    "user_id": lambda item: item["recipient_id"],
    "issue_date": lambda item: item["issued_on"],
    "location_id": lambda item: (item["custom_attributes"] or {}).get("location_id"),
    "expiry_date": lambda item: item["expired_on"],
    "title": lambda item: item["name"],
    "group_name": lambda item: item["group"]["name"],
    "recipient_name": lambda item: item["recipient_name"],
    "recipient_email": lambda item: item["recipient_email"].lower(),
}
SOURCE_PAGE, DESTINATION_PAGE = 50, 100


def ask(connection, method, path, body=None):
    connection.request(method, path, body, {"content-type": "application/json", "authorization": "bench"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{method} {path}: {answer.status}")
    return json.loads(text)


def source(connection):
    records, cursor = {}, None
    while True:
        page = {"size": SOURCE_PAGE, **({"cursor": cursor} if cursor else {})}
        answer = ask(connection, "POST", "/v2/credentials/search",
                     json.dumps({"query": {}, "sort": {"id": "asc"}, "page": page}))
        for item in answer["credentials"]:
            records[str(item["id"])] = {name: read(item) for name, read in FIELDS.items()}
        cursor = answer["meta"].get("cursor")
        if not cursor:
            return records


def destination(connection):
    records, cursor = {}, None
    while True:
        after = f"&cursor={urllib.parse.quote(cursor)}" if cursor else ""
        answer = ask(connection, "GET", f"/certificates?limit={DESTINATION_PAGE}{after}")
        for item in answer["certificates"]:
            records[item["certificate_id"]] = {name: item.get(name) for name in FIELDS}
        cursor = answer["next_cursor"]
        if not cursor:
            return records


def compare(wanted, shown):
    outcomes = collections.Counter()
    for id, fields in wanted.items():
        found = shown.get(id)
        if not fields["location_id"]:
            outcomes["invalid"] += 1
        elif found is None:
            outcomes["missing_at_destination"] += 1
        else:
            outcomes["matched" if fields == found else "mismatched"] += 1
    outcomes["missing_at_source"] += sum(id not in wanted for id in shown)
    return outcomes


def peak_kib():
    with open("/proc/self/status") as file:
        [peak] = [line.split()[1] for line in file if line.startswith("VmHWM:")]
    return int(peak)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="where both providers are")
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(parser.parse_args().url).netloc)
    began = time.perf_counter()
    outcomes = compare(source(connection), destination(connection))
    print(json.dumps({"outcomes": outcomes, "seconds": time.perf_counter() - began, "peak_kib": peak_kib()}))


if __name__ == "__main__":
    main()
