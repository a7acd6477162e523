#!/usr/bin/env python3
"""Runs every sample in events/ through `sam local invoke`, and the routes through `sam local start-api`.

The functions run in containers, against the template as it is deployed into MiniStack. Needs what world.py needs, and a
container engine: `docker`, with its daemon. Where none answers it says so, and is done. The image is pulled; where it
cannot be, one is made of this machine's C library. Prints one line a step, and `N passed, M failed` at the end.

What `sam local` does not do, and is therefore not shown here: the stream, the queue and the schedule (their samples are
invoked), permissions (the functions have the keys of the emulated account), throttling, and arm64.
"""

import contextlib
import glob
import json
import os
import subprocess
import sys
import tempfile
import time

from local import bridge, make_image, write_for_sam
from world import API_KEY, ROOT, World, arguments, free_port, http, listens, play, signed, until

# The event of webhook/payload-v2.json, and its certificate.
EVENT_ID, ID = "1bfd3aa4e96e1d8d3991f6218c38280d67b080ad5da1a3da9e40dcff137b4c1a", "10000005"


class Sam:
    """`sam local`."""

    def __init__(self, world, config):
        self.world = world
        self.options = ["--config-file", config]
        self.invoked = set()

    def invoke(self, sample):
        """What the function of a sample answers to it."""
        self.invoked.add(sample)
        function = "".join(word.capitalize() for word in sample.split("/")[0].split("-")) + "Function"
        command = ["sam", "local", "invoke", function, "--event", f"events/{sample}.json", *self.options]
        done = subprocess.run(command, cwd=ROOT, env=self.world.env, capture_output=True, text=True)
        self.logs = done.stderr
        assert done.returncode == 0 and done.stdout, done.stdout + done.stderr
        return json.loads(done.stdout)

    def ask(self, sample):
        """The same, of a function behind the gateway: status and body."""
        answer = self.invoke(sample)
        assert "statusCode" in answer, (answer, self.logs)
        return answer["statusCode"], json.loads(answer["body"])

    def start_api(self):
        """Where the API is."""
        port = free_port()
        log = self.world.stack.enter_context(tempfile.TemporaryFile())
        command = ["sam", "local", "start-api", "--port", str(port), *self.options]
        self.world.process(command, self.world.env, cwd=ROOT, stdout=log, stderr=log)
        until("sam local start-api", lambda: listens(port))
        return f"http://127.0.0.1:{port}"


def the_authorizer_lets_in_who_has_a_key(sam, world):
    for sample in ["authorizer/bearer", "authorizer/x-api-key"]:
        answer = sam.invoke(sample)
        assert answer == {"isAuthorized": True, "context": {"owner": "operations", "keyId": "operations-1"}}, answer
    answer = sam.invoke("authorizer/no-key")
    assert answer["isAuthorized"] is False, answer


def a_webhook_is_taken_once(sam, world):
    status, answer = sam.ask("webhook/payload-v2")
    assert (status, answer) == (202, {"status": "accepted", "event_id": EVENT_ID}), (status, answer, sam.logs)
    assert world.state(EVENT_ID) == "pending"
    for again in ["payload-v2", "payload-v1", "base64", "alias"]:
        status, answer = sam.ask(f"webhook/{again}")
        assert (status, answer) == (200, {"status": "duplicate", "event_id": EVENT_ID}), (again, status, answer)


def what_is_not_synced_is_told_apart(sam, world):
    status, answer = sam.ask("webhook/ignored")
    assert (status, answer) == (200, {"status": "ignored"}), (status, answer)
    status, answer = sam.ask("webhook/unreadable")
    assert status == 202 and world.state(answer["event_id"]) == "quarantined", (status, answer)
    status, answer = sam.ask("webhook/unproven")
    assert status == 401 and answer["type"].endswith(":not-proven"), (status, answer)


def the_streams_row_is_synced(sam, world):
    assert sam.invoke("sync-event/stream") == {"batchItemFailures": []}
    assert world.state(EVENT_ID) == "settled", sam.logs
    [push] = world.pushes(ID)
    assert push["body"]["location_id"] == "loc_london", push
    [row] = world.trail(ID)
    assert row["outcome"] == "synced", row


def the_queues_pointers_are_followed(sam, world):
    assert sam.invoke("sync-event/queue") == {"batchItemFailures": []}
    # The event is settled, so nothing is left of its pointer; the other one pushes the record again.
    assert '"why":"not pending"' in sam.logs and len(world.pushes(ID)) == 2, sam.logs


def the_sweep_sends_what_is_overdue(sam, world):
    status, answer = world.webhook("swept")
    assert status == 202, (status, answer)
    world.make_overdue(answer["event_id"])
    assert sam.invoke("sync-event/sweep") == {"batchItemFailures": []}
    assert '"SweepSent":1' in sam.logs, sam.logs
    received = world.client("sqs").receive_message(QueueUrl=world.outputs["RetryQueueUrl"], WaitTimeSeconds=5)
    assert answer["event_id"] in received["Messages"][0]["Body"], received


def a_certificate_is_synced_on_demand(sam, world):
    before = len(world.pushes(ID))
    status, answer = sam.ask("sync-certificate/dry-run")
    assert (status, answer["outcome"], len(world.pushes(ID))) == (200, "dry_run", before), (status, answer)
    for sample in ["fetch", "record", "given"]:
        status, answer = sam.ask(f"sync-certificate/{sample}")
        assert (status, answer["outcome"]) == (200, "synced"), (sample, status, answer)
    assert world.pushes(ID)[-1]["body"]["title"] == "Advanced Widgetry"
    assert world.trail(ID)[-1]["actor"] == {"type": "caller", "owner": "operations"}
    status, answer = sam.ask("sync-certificate/locations")
    assert status == 200 and "loc_london" in [location["id"] for location in answer["locations"]], (status, answer)


def what_is_synced_is_told(sam, world):
    status, answer = sam.ask("api/certificates")
    assert status == 200 and ID in [record["id"] for record in answer["records"]], (status, answer)
    status, answer = sam.ask("api/history")
    assert (status, len(answer["entries"]), answer["chain"]["holds"]) == (200, len(world.trail(ID)), True), (status, answer)
    status, answer = sam.ask("api/events")
    assert status == 200 and answer["events"][0]["state"] == "quarantined", (status, answer)
    status, answer = sam.ask("api/replay")
    assert (status, answer["detail"]) == (404, "There is no such event, or no more."), (status, answer)
    status, answer = sam.ask("api/preview")
    assert (status, answer["event"]["record"]) == (200, f"certificate#accredible#{ID}"), (status, answer)
    page = sam.invoke("api/dashboard")
    assert page["statusCode"] == 200 and page["headers"]["content-type"].startswith("text/html"), page


def a_touched_audit_row_is_told(sam, world):
    assert sam.invoke("notify/touched") == {"batchItemFailures": []}
    assert '"AuditTouched":1' in sam.logs, sam.logs


def what_happened_is_told(sam, world):
    for sample in ["notify/stream", "notify/set-aside", "deliver/notice", "deliver/delivery"]:
        # There are no endpoints, so nothing is posted.
        assert sam.invoke(sample) == {"batchItemFailures": []}, (sample, sam.logs)


def a_batch_begins_and_a_poll_is_made(sam, world):
    begun = sam.invoke("batch-sync/begin")
    assert begun["batch"]["id"] == "20260313T000000Z-accredible" and begun["each"] == [0], (begun, sam.logs)
    made = sam.invoke("batch-sync/checkpoint")
    assert made["number"] == 1 and made["rows"] >= len(world.trail(ID)), (made, sam.logs)
    # No source that tells is on.
    assert sam.invoke("batch-sync/subscriptions") == {}, sam.logs
    polled = sam.invoke("batch-sync/poll")
    assert polled["accredible/certificate"]["done"], (polled, sam.logs)


def batches_are_asked_for_and_told_of(sam, world):
    for sample in ["reconcile", "upsert"]:
        status, answer = sam.ask(f"api/{sample}")
        assert (status, answer["mode"]) == (202, sample), (status, answer)
    status, answer = sam.ask("api/batches")
    assert status == 200 and len(answer["batches"]) >= 2, (status, answer)
    status, answer = sam.ask("api/batch")
    assert status == 200 and answer["requested_by"] == "operations", (status, answer)
    # It waits for the turn of the one that was begun above.
    status, answer = sam.ask("api/report")
    assert (status, answer["detail"]) == (404, "The batch is not over yet."), (status, answer)


def every_sample_was_invoked(sam, world):
    samples = {os.path.relpath(file, os.path.join(ROOT, "events"))[:-len(".json")]
               for file in glob.glob(os.path.join(ROOT, "events", "*", "*.json"))}
    assert sam.invoked == samples, sam.invoked ^ samples


def the_api_takes_webhooks(sam, world):
    sam.api = sam.start_api()
    body = b'{"event_type": "certificate_created", "certificate_id": "api", "timestamp": "2026-03-12T19:03:58Z", "source": "accredible"}'
    status, answer = http("POST", sam.api + "/webhooks/accredible", body, signed(body))
    assert status == 202 and world.state(json.loads(answer)["event_id"]) == "pending", (status, answer)
    status, answer = http("POST", sam.api + "/webhooks/accredible", body, {"content-type": "application/json"})
    assert status == 401, (status, answer)


def the_api_asks_the_authorizer(sam, world):
    def sync(**headers):
        return http("POST", f"{sam.api}/certificates/{ID}/sync?dry_run=true", b"{}", {"content-type": "application/json", **headers})[0]
    assert (sync(), sync(authorization="Bearer nobody")) == (403, 403)
    assert (sync(authorization=f"Bearer {API_KEY}"), sync(**{"x-api-key": API_KEY})) == (200, 200)


STORY = [
    the_authorizer_lets_in_who_has_a_key,
    a_webhook_is_taken_once,
    what_is_not_synced_is_told_apart,
    the_streams_row_is_synced,
    the_queues_pointers_are_followed,
    the_sweep_sends_what_is_overdue,
    a_certificate_is_synced_on_demand,
    what_is_synced_is_told,
    a_touched_audit_row_is_told,
    what_happened_is_told,
    a_batch_begins_and_a_poll_is_made,
    batches_are_asked_for_and_told_of,
    every_sample_was_invoked,
    the_api_takes_webhooks,
    the_api_asks_the_authorizer,
]


def main():
    options = arguments(__doc__)
    host = bridge()
    if not host:
        print("NOT RUN: no container engine answers here (docker, and its bridge network)")
        return 0
    with contextlib.ExitStack() as stack:
        started = time.monotonic()
        world = World(stack, options.built)
        # Or the deployed function would take the rows and the pointers before the one in the container.
        for source in ["InboxStream", "RetrySource"]:
            world.client("lambda").update_event_source_mapping(UUID=world.physical[source], Enabled=False)
        world.credential(ID)
        sam = Sam(world, write_for_sam(world, host))
        print(f"deployed in {time.monotonic() - started:.0f} s", flush=True)
        print(f"image of {make_image(world)}", flush=True)
        passed, failed = play(STORY, sam, world)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
