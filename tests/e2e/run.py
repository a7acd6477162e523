#!/usr/bin/env python3
"""Deploys the template into an AWS on this machine, and plays the story of an event there.

MiniStack runs the real `bootstrap` binaries as processes, with IAM enforced. Needs `sam build` to have run, and on the
PATH: sam, ministack; in this Python: boto3. Prints one line a step, and `N passed, M failed` at the end. With `--package DIR`
it deploys what `make package` made, and plays the beginning of the story: the rest is the same code.

What MiniStack cannot do, and is therefore not shown here: alarms and their metrics, the gateway's throttling and access
log, a schedule's time zone (the sweep and the poll are invoked, the batch is started by a schedule for once), mails of
a topic, and arm64.
"""

import contextlib
import json
import os
import sys
import tempfile
import time
from urllib.parse import quote

from world import ACCREDIBLE_KEY, API_KEY, SNAPSHOTS_KEY, STACK, World, arguments, http, play, until


def a_webhook_reaches_the_destination(world):
    world.credential("e1")
    status, answer = world.webhook("e1")
    assert status == 202, (status, answer)
    world.settled(answer["event_id"])
    [push] = world.pushes("e1")
    assert push["body"]["location_id"] == "loc_london", push
    [row] = world.trail("e1")
    assert row["outcome"] == "synced" and row["actor"]["name"] == "accredible", row


def a_duplicate_is_dropped(world):
    status, answer = world.webhook("e1")
    assert (status, answer["status"]) == (200, "duplicate"), (status, answer)
    assert len(world.pushes("e1")) == 1


def a_forged_delivery_is_refused(world):
    status, answer = world.webhook("e1", key="somebody-else")
    assert status == 401 and answer["type"].endswith(":not-proven"), (status, answer)


def a_failing_destination_is_overcome_through_the_queue(world):
    world.credential("e2")
    world.fault("snapshots", {"fault": "status", "status": 503, "times": 5, "method": "POST", "path": "/certificates/e2/"})
    status, answer = world.webhook("e2")
    assert status == 202, (status, answer)
    world.settled(answer["event_id"])
    assert len(world.pushes("e2")) == 1
    [row] = world.trail("e2")
    assert row["cause"]["attempt"] >= 2, row


def an_unknown_location_is_quarantined(world):
    world.credential("e3", location="loc_atlantis")
    status, answer = world.webhook("e3")
    assert status == 202, (status, answer)
    until("quarantined", lambda: world.state(answer["event_id"]) == "quarantined")
    assert "location_id" in world.inbox(answer["event_id"])["reason"]["S"]
    assert not world.pushes("e3")


def it_is_run_again_once_the_location_is_there(world):
    [event] = json.loads(world.api_call("GET", "/events?state=quarantined")[1])["events"]
    http("PUT", world.providers["snapshots"] + "/_sandbox/locations/loc_atlantis", {"name": "Atlantis"})
    status, answer = world.api_call("POST", f"/events/accredible/{quote(event['id'], safe='')}/replay")
    assert status == 202, (status, answer)
    world.settled(event["id"])
    assert len(world.pushes("e3")) == 1
    row = world.trail("e3")[-1]
    assert row["outcome"] == "synced" and row["actor"]["owner"] == "operations", row


def a_certificate_is_synced_on_demand_with_a_key(world):
    world.credential("e4")
    # MiniStack asks for the header `authorization` where an authorizer names no identity source, so `x-api-key` is shown by
    # the authorizer's own tests.
    status, answer = world.sync("e4", {"authorization": f"Bearer {API_KEY}"})
    assert status == 200 and answer["pushed"], (status, answer)
    status, _ = world.sync("e4", {"authorization": f"Bearer {API_KEY}"}, "?dry_run=true")
    assert status == 200 and len(world.pushes("e4")) == 1
    [row] = world.trail("e4")
    assert row["actor"] == {"type": "caller", "owner": "operations"}, row


def without_a_key_nobody_is_let_in(world):
    for headers in [{}, {"x-api-key": "nobody"}, {"x-api-key": "weak"}, {"authorization": "Bearer weak"}]:
        status, _ = world.sync("e4", headers)
        assert status in (401, 403), (status, headers)
    assert len(world.pushes("e4")) == 1


def the_sweep_finds_what_the_stream_lost(world):
    functions = world.client("lambda")
    mapping = world.physical["InboxStream"]
    functions.update_event_source_mapping(UUID=mapping, Enabled=False)
    try:
        world.credential("e5")
        status, answer = world.webhook("e5")
        assert status == 202, (status, answer)
        event_id = answer["event_id"]
        world.make_overdue(event_id)
        done = functions.invoke(FunctionName=world.physical["SyncEventFunction"], Payload=b'{"task": "sweep"}')
        assert "FunctionError" not in done, done["Payload"].read()
        world.settled(event_id)
        assert len(world.pushes("e5")) == 1
    finally:
        functions.update_event_source_mapping(UUID=mapping, Enabled=True)


def a_missing_permission_shows(world):
    iam = world.client("iam")
    role = world.physical["WebhookRole"]
    document = iam.get_role_policy(RoleName=role, PolicyName="webhook")["PolicyDocument"]
    without = {**document, "Statement": [one for one in document["Statement"] if one["Action"] != "dynamodb:PutItem"]}
    assert len(without["Statement"]) == len(document["Statement"]) - 1
    iam.put_role_policy(RoleName=role, PolicyName="webhook", PolicyDocument=json.dumps(without))
    try:
        status, answer = world.webhook("e6")
        assert status == 503, (status, answer)
    finally:
        iam.put_role_policy(RoleName=role, PolicyName="webhook", PolicyDocument=json.dumps(document))
    world.credential("e6")
    assert world.webhook("e6")[0] == 202


LONG_AGO = "2026-03-01T00:00:00Z"


def a_batch_is_run_by_call(world):
    for id in ("b1", "b2"):
        world.credential(id, changed_at=LONG_AGO)
    status, answer = world.api_call("POST", "/batch_sync", {"batch_id": "called-1", "force": True})
    assert status == 202, (status, answer)
    batch = world.batch_over("called-1")
    assert batch["status"] == "finished", batch
    assert len(world.pushes("b1")) == len(world.pushes("b2")) == 1
    [row] = world.trail("b1")
    assert row["cause"] == {"type": "batch", "id": "called-1"} and row["actor"]["owner"] == "operations", row
    status, answer = world.api_call("GET", "/batches/called-1/report?format=json")
    report = json.loads(answer)
    assert status == 200 and report["batch_id"] == "called-1", (status, answer)
    found = {finding["id"]: finding for finding in report["findings"]}
    for id in ("b1", "b2"):
        assert (found[id]["outcome"], found[id]["drift"], found[id]["repaired"]) == ("missing_at_destination", "never_arrived", True), found
    assert report["totals"]["records"] == sum(report["totals"]["outcomes"].values()), report["totals"]
    for form, begins in (("csv", b"id,outcome,"), ("html", b"<!")):
        status, answer = world.api_call("GET", f"/batches/called-1/report?format={form}")
        assert status == 200 and answer.lstrip().lower().startswith(begins), (form, status, answer[:200])
    # The same again starts nothing; another one of its name is refused.
    status, answer = world.api_call("POST", "/batch_sync", {"batch_id": "called-1", "force": True})
    assert (status, json.loads(answer)["status"]) == (202, "finished"), (status, answer)
    status, _ = world.api_call("POST", "/batch_sync", {"batch_id": "called-1"})
    assert status == 409, status


def records_that_a_caller_gives_are_told(world):
    good = {"certificate_id": "g1", "user_id": "u", "issue_date": "2026-01-31", "location_id": "loc_london"}
    status, answer = world.api_call("POST", "/batch_sync", {"batch_id": "given-1", "records": [good, {"certificate_id": "g2"}]})
    assert status == 202, (status, answer)
    batch = world.batch_over("given-1")
    assert batch["summary"]["verdict"] == "needs_person", batch
    assert len(world.pushes("g1")) == 1 and not world.pushes("g2")


def a_batch_is_run_by_schedule(world):
    schedules = world.client("scheduler")
    target = schedules.get_schedule(Name=world.physical["Nightly"])["Target"]
    assert json.loads(target["Input"]) == {"source": "accredible"}, target
    world.credential("b3", changed_at=LONG_AGO)
    soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 2))
    schedules.create_schedule(Name="once", ScheduleExpression=f"at({soon})", FlexibleTimeWindow={"Mode": "OFF"},
                              Target={name: target[name] for name in ("Arn", "RoleArn", "Input")})

    def scheduled():
        _, answer = world.api_call("GET", "/batches?limit=5")
        found = [one for one in json.loads(answer)["batches"] if one["requested_by"] == "schedule"]
        return found and found[0]["batch_id"]
    id = until("a scheduled batch", scheduled)
    batch = world.batch_over(id)
    assert batch["status"] == "finished", batch
    assert len(world.pushes("b3")) == 1 and len(world.pushes("b1")) == 1
    [row] = world.trail("b3")
    assert row["actor"] == {"type": "reconciliation"}, row


def a_change_is_polled(world):
    world.credential("p1")
    functions = world.client("lambda")
    done = functions.invoke(FunctionName=world.physical["BatchSyncFunction"], Payload=b'{"task": "poll"}')
    answer = done["Payload"].read()
    assert "FunctionError" not in done, answer
    assert json.loads(answer)["accredible/certificate"]["done"], answer
    until("p1 pushed", lambda: len(world.pushes("p1")) == 1)
    [row] = world.trail("p1")
    assert row["cause"]["event_type"] == "polled", row


def what_happens_is_told_on_the_bus(world):
    queues, events = world.client("sqs"), world.client("events")
    queue = queues.create_queue(QueueName="listener")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
    queues.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [allow]})})
    bus = world.outputs["EventBusName"]
    events.put_rule(Name="listen", EventBusName=bus, EventPattern=json.dumps({"detail-type": ["certificate.synced"]}))
    events.put_targets(Rule="listen", EventBusName=bus, Targets=[{"Id": "listener", "Arn": arn}])
    world.credential("n1", location="loc_london")
    status, answer = world.webhook("n1")
    assert status == 202, (status, answer)
    [row] = until("n1 in the trail", lambda: world.trail("n1"))

    def told():
        messages = queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        details = [json.loads(message["Body"])["detail"] for message in messages]
        return [detail for detail in details if "n1" in detail["subject"]]
    [detail] = until("n1 told", told)
    assert detail["specversion"] == "1.0" and detail["data"]["hash"] == row["hash"], (detail, row)


def the_documented_commands_lead_to_a_synced_certificate(world):
    """The AWS half of docs/getting-started.md, from the keys on."""
    with tempfile.TemporaryDirectory() as folder:
        def file(name, text):
            path = os.path.join(folder, name)
            with open(path, "w") as out:
                out.write(text)
            return path
        # MiniStack's CloudFormation leaves these out of a table, and `doctor` would find it.
        tables = world.client("dynamodb")
        tables.update_time_to_live(
            TableName=world.outputs["InboxTableName"], TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"})
        for table in ("InboxTableName", "RecordsTableName", "AuditTableName", "StateTableName"):
            tables.update_continuous_backups(
                TableName=world.outputs[table], PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
        told = world.certbridge(
            "init", "--stack", STACK, "--yes", "--no-test", "--url", world.api,
            "--source", "accredible", "--api-key-file", "accredible=" + file("accredible.txt", ACCREDIBLE_KEY),
            "--destination", "snapshots", "--destination-key-file", file("snapshots.txt", SNAPSHOTS_KEY))
        assert SNAPSHOTS_KEY not in told and ACCREDIBLE_KEY not in told, told
        # A warning, 3, may be left by the story so far.
        findings = json.loads(world.certbridge("doctor", "--stack", STACK, "--json", expect=(0, 3)))["findings"]
        assert not [one for one in findings if one["state"] == "failed"], findings
        areas = {one["area"] for one in findings if one["state"] == "ok"}
        assert areas >= {"configuration", "secrets", "providers", "tables", "wiring", "events"}, findings
        world.credential("s1")
        told = json.loads(world.certbridge("test", "--stack", STACK, "--url", world.api, "--source", "accredible", "--id", "s1", "--json"))
        assert len(world.pushes("s1")) == 1, told
        key = world.certbridge("keys", "create", "--aws", "--owner", "Back office", "--scope", "records:read", "--scope", "audit:read", "--expires", "90d").strip()
        mine = {"authorization": f"Bearer {key}"}
        status, page = http("GET", world.api + "/dashboard")
        assert status == 200 and b"<title>" in page, (status, page[:200])
        status, answer = http("GET", world.api + "/certificates/s1", headers=mine)
        assert status == 200 and json.loads(answer)["synced_at"], (status, answer)
        story = world.certbridge("why", "s1", "--stack", STACK)
        assert "synced" in story, story
        # The night's checkpoint, and its proof.
        functions = world.client("lambda")
        for _ in range(2):
            done = functions.invoke(FunctionName=world.physical["BatchSyncFunction"], Payload=b'{"task": "checkpoint"}')
            answer = done["Payload"].read()
            assert "FunctionError" not in done, answer
        status, answer = http("GET", world.api + "/audit/checkpoints", headers=mine)
        checkpoints = json.loads(answer)["checkpoints"]
        assert status == 200 and [one["number"] for one in checkpoints] == [2, 1] and checkpoints[0]["signed"], answer
        out, proof = os.path.join(folder, "export.jsonl"), os.path.join(folder, "proof")
        world.certbridge("audit", "export", "--stack", STACK, "--out", out, "--checkpoints", proof,
                         "--checkpoints-url", "s3://" + world.outputs["CheckpointsBucketName"])
        verify = ["audit", "verify", out, "--checkpoints", proof, "--key", os.path.join(proof, "key.pub")]
        world.certbridge(*verify)
        with open(out) as file:
            text = file.read()
        with open(out, "w") as file:
            file.write(text.replace("synced", "merged", 1))
        world.certbridge(*verify, expect=(1,))


STORY = [
    # First of all: what it makes, functions read when they start, and within five minutes.
    the_documented_commands_lead_to_a_synced_certificate,
    a_webhook_reaches_the_destination,
    a_duplicate_is_dropped,
    a_forged_delivery_is_refused,
    a_failing_destination_is_overcome_through_the_queue,
    an_unknown_location_is_quarantined,
    it_is_run_again_once_the_location_is_there,
    a_certificate_is_synced_on_demand_with_a_key,
    without_a_key_nobody_is_let_in,
    the_sweep_finds_what_the_stream_lost,
    a_batch_is_run_by_call,
    records_that_a_caller_gives_are_told,
    a_batch_is_run_by_schedule,
    a_missing_permission_shows,
    what_happens_is_told_on_the_bus,
    # The last one: it takes up everything of this day.
    a_change_is_polled,
]


def main():
    with contextlib.ExitStack() as stack:
        started = time.monotonic()
        options = arguments(__doc__)
        world = World(stack, options.package or options.built)
        print(f"deployed in {time.monotonic() - started:.0f} s", flush=True)
        passed, failed = play(STORY[:4] if options.package else STORY, world)
        if failed:
            with open(world.log_path, "rb") as log:
                print(log.read()[-6000:].decode(errors="replace"))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
