#!/usr/bin/env python3
"""Asks the API whatever its contract allows, and what it does not, and holds every answer against it.

Starts `certbridge up` on a fresh folder, puts something into it, and runs schemathesis on its /openapi.json. Needs the
command to be built, and schemathesis (requirements.txt beside this file).

Checks that are off, and why:
- positive_data_acceptance: an id, a source or a cursor of the right form is no id that exists: 404, 409 and 422 are the right answers.
- unsupported_method and allow_header_conformance: API Gateway answers a method that has no route with 404, as for any path
  that has none; the local gateway does the same.
- ignored_auth: it asks without a key and expects the contract's 401; the routes for senders have a proof of their own. That
  every other route refuses is held by functions/api/tests and functions/authorizer/tests.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
OFF = ["positive_data_acceptance", "unsupported_method", "allow_header_conformance", "ignored_auth"]
EVENT = {"event_type": "certificate_created", "timestamp": "2026-03-12T19:03:58Z", "source": "accredible"}


def post(url, body, headers):
    request = urllib.request.Request(url, body, {"content-type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status


def fill(command, url, data, key):
    """Something of everything: synced records, and an event that a person must look at."""
    for number in ("100", "101", "no-such"):
        body = json.dumps({**EVENT, "certificate_id": number}).encode()
        with tempfile.NamedTemporaryFile() as file:
            file.write(body)
            file.flush()
            sign = [command, "sign", "--data", data, "--source", "accredible", "--body", file.name]
            signed = subprocess.run(sign, check=True, capture_output=True, text=True).stdout
        headers = dict(line.split(": ", 1) for line in signed.splitlines())
        assert post(f"{url}/webhooks/accredible", body, headers) == 202
    assert post(f"{url}/certificates/100/sync", b"{}", {"x-api-key": key}) == 200
    assert post(f"{url}/batch_sync", b"{}", {"x-api-key": key}) == 202


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--command", default=str(ROOT / "target/debug/certbridge"), help="the certbridge command")
    options.add_argument("--schemathesis", default="schemathesis", help="the schemathesis command")
    options.add_argument("--examples", type=int, default=10, help="how many cases of each route, at most")
    options = options.parse_args()
    # It runs in another folder.
    schemathesis = shutil.which(options.schemathesis)
    if not schemathesis:
        sys.exit(f"there is no {options.schemathesis}")
    with tempfile.TemporaryDirectory() as data:
        up = [options.command, "up", "--port", "0", "--data", data]
        with subprocess.Popen(up, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            try:
                ready = (re.match(r"ready (http\S+)", line) for line in process.stdout)
                url = next(found.group(1) for found in ready if found)
                key = pathlib.Path(data, "api-key").read_text().strip()
                fill(options.command, url, data, key)
                run = [
                    os.path.abspath(schemathesis), "run", f"{url}/openapi.json", "--url", url, "--header", f"x-api-key: {key}",
                    "--checks", "all", "--exclude-checks", ",".join(OFF), "--phases", "examples,coverage,fuzzing",
                    "--max-examples", str(options.examples), "--seed", "1", "--generation-deterministic",
                    "--no-color", "--continue-on-failure", "--warnings", "off",
                ]
                code = subprocess.run(run, cwd=data, check=False).returncode
            finally:
                process.terminate()
    print(f"fuzz: {'passed' if code == 0 else 'FAILED'}; off: {', '.join(OFF)}")
    return code


if __name__ == "__main__":
    sys.exit(main())
