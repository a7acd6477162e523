#!/usr/bin/env python3
"""Deploys the template into an AWS on this machine, and plays the story of an event there.

MiniStack runs the real `bootstrap` binaries as processes, with IAM enforced. Needs `sam build` to have run, and on the
PATH: sam, ministack; in this Python: boto3. Prints one line a step, and `N passed, M failed` at the end.

What MiniStack cannot do, and is therefore not shown here: alarms and their metrics, the gateway's throttling and access
log, a schedule's own clock (the sweep is invoked), and arm64.
"""

import contextlib
import hashlib
import hmac
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request

import boto3

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STACK = "certbridge-e2e"
SIGNING, API_KEY = "e2e-signing-key", "e2e-api-key"
ACCREDIBLE_KEY, SNAPSHOTS_KEY = "e2e-accredible", "e2e-snapshots"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, condition, seconds=60):
    """Waits for a condition; the deadline only ends a run that is broken."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.25)
    raise AssertionError(f"{what}: not within {seconds} s")


def http(method, url, body=None, headers=None):
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


class World:
    """The emulated AWS, the providers, and the deployed stack."""

    def __init__(self, stack: contextlib.ExitStack):
        self.stack = stack
        self.endpoint = f"http://127.0.0.1:{free_port()}"
        self.env = {
            "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
            "SAM_CLI_TELEMETRY": "0",
        }
        self.start_aws()
        self.start_providers()
        self.deploy()

    def process(self, command, env, **options):
        process = subprocess.Popen(command, env=env, **options)
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process

    def client(self, service):
        return boto3.client(service, endpoint_url=self.endpoint, region_name="us-east-1",
                            aws_access_key_id="test", aws_secret_access_key="test")

    def start_aws(self):
        self.log_path = os.path.join(tempfile.gettempdir(), f"ministack-{os.getpid()}.log")
        log = self.stack.enter_context(open(self.log_path, "wb"))
        port = self.endpoint.rsplit(":", 1)[1]
        env = {key: self.env[key] for key in ("PATH", "HOME", "AWS_ENDPOINT_URL")}
        self.process(["ministack"], {**env, "GATEWAY_PORT": port, "AUTH": "true"}, stdout=log, stderr=log)

        def answers():
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", int(port)), 1).close()
                return True
        until("MiniStack", answers)

    def start_providers(self):
        command = ["cargo", "run", "--quiet", "-p", "certbridge-sandbox", "--example", "providers", "--", ACCREDIBLE_KEY, SNAPSHOTS_KEY]
        process = self.process(command, os.environ, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.providers = json.loads(process.stdout.readline())
        http("PUT", self.providers["snapshots"] + "/_sandbox/locations/loc_london", {"name": "London"})

    def template(self):
        """The built template, but for two things that MiniStack sees otherwise than AWS: it compares a queue's concurrency
        with a number, while CloudFormation's parameters are texts; and it wants a permission for SendMessageBatch, which
        AWS has none of, since SendMessage is that too."""
        built = os.path.join(ROOT, ".aws-sam", "build", "template.yaml")
        with open(built) as file:
            text = file.read()
        assert "Ref: RetryConcurrency" in text
        patched = os.path.join(os.path.dirname(built), "template-e2e.yaml")
        with open(patched, "w") as file:
            text = re.sub(r"MaximumConcurrency:\s+Ref: RetryConcurrency", "MaximumConcurrency: 5", text)
            # A list of actions, or a single one.
            text = re.sub(r"( +)- sqs:SendMessage\n", r"\1- sqs:SendMessage\n\1- sqs:SendMessageBatch\n", text)
            file.write(re.sub(r"Action: sqs:SendMessage\n", "Action: [sqs:SendMessage, sqs:SendMessageBatch]\n", text))
        return patched

    def deploy(self):
        parameters = [f"SnapshotsUrl={self.providers['snapshots']}", f"AccredibleUrl={self.providers['accredible']}"]
        command = ["sam", "deploy", "--template-file", self.template(), "--stack-name", STACK, "--resolve-s3", "--no-confirm-changeset", "--no-progressbar",
                   "--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND", "--parameter-overrides", *parameters]
        done = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True)
        if done.returncode:
            raise AssertionError("sam deploy failed:\n" + done.stdout[-4000:] + done.stderr[-4000:])
        stack = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        resources = self.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
        self.physical = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources}
        api = self.physical["Api"]
        self.api = f"{self.endpoint}/_aws/execute-api/{api}/$default"
        secrets = self.client("secretsmanager")
        digest = hashlib.sha256(API_KEY.encode()).hexdigest()
        key = {"id": "e2e", "sha256": digest, "owner": "Edda", "scopes": ["sync:write"]}
        weak = {"id": "weak", "sha256": hashlib.sha256(b"weak").hexdigest(), "owner": "Willi", "scopes": ["records:read"]}
        for name, value in {"sources/accredible": {"signing": [SIGNING], "api_key": ACCREDIBLE_KEY},
                            "destinations/snapshots": {"api_key": SNAPSHOTS_KEY}, "api-keys": {"keys": [key, weak]}}.items():
            secrets.put_secret_value(SecretId="certbridge/" + name, SecretString=json.dumps(value))

    # What a person would do.

    def credential(self, id, location="loc_london"):
        body = {"custom_attributes": {"location_id": location}}
        status, answer = http("PUT", f"{self.providers['accredible']}/_sandbox/credentials/{id}", body)
        assert status < 300, answer

    def webhook(self, id, event_type="certificate_created", key=SIGNING, source="accredible"):
        body = json.dumps({"event_type": event_type, "certificate_id": id, "timestamp": "2026-03-12T19:03:58Z", "source": source}).encode()
        signature = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "X-Accredible-Signature": signature}
        status, answer = http("POST", self.api + "/webhooks/certificates", body, headers)
        return status, json.loads(answer or b"{}")

    def sync(self, id, headers, query=""):
        status, answer = http("POST", f"{self.api}/certificates/{id}/sync{query}", b"{}", {"content-type": "application/json", **headers})
        return status, json.loads(answer or b"{}")

    def pushes(self, id):
        _, answer = http("GET", self.providers["snapshots"] + "/_sandbox/applications")
        return [push for push in json.loads(answer) if push["certificate_id"] == id]

    def fault(self, provider, fault):
        status, answer = http("POST", self.providers[provider] + "/_sandbox/faults", fault)
        assert status < 300, answer

    def inbox(self, event_id):
        key = {"pk": {"S": f"accredible#{event_id}"}}
        return self.client("dynamodb").get_item(TableName=self.outputs["InboxTableName"], Key=key).get("Item")

    def state(self, event_id):
        return (self.inbox(event_id) or {}).get("state", {}).get("S")

    def trail(self, id):
        rows = self.client("dynamodb").query(
            TableName=self.outputs["AuditTableName"], KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"certificate#accredible#{id}"}})["Items"]
        return [json.loads(row["row"]["S"]) for row in rows]

    def settled(self, event_id):
        until(f"{event_id} settled", lambda: self.state(event_id) == "settled")


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


def a_certificate_is_synced_on_demand_with_a_key(world):
    world.credential("e4")
    # MiniStack asks for the header `authorization` where an authorizer names no identity source, so `x-api-key` is shown by
    # the authorizer's own tests.
    status, answer = world.sync("e4", {"authorization": f"Bearer {API_KEY}"})
    assert status == 200 and answer["pushed"], (status, answer)
    status, _ = world.sync("e4", {"authorization": f"Bearer {API_KEY}"}, "?dry_run=true")
    assert status == 200 and len(world.pushes("e4")) == 1
    [row] = world.trail("e4")
    assert row["actor"] == {"type": "caller", "owner": "Edda"}, row


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
        # Overdue at once, instead of after a minute.
        world.client("dynamodb").update_item(
            TableName=world.outputs["InboxTableName"], Key={"pk": {"S": f"accredible#{event_id}"}},
            UpdateExpression="SET next_at = :long_ago", ExpressionAttributeValues={":long_ago": {"N": "1"}})
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


STORY = [
    a_webhook_reaches_the_destination,
    a_duplicate_is_dropped,
    a_forged_delivery_is_refused,
    a_failing_destination_is_overcome_through_the_queue,
    an_unknown_location_is_quarantined,
    a_certificate_is_synced_on_demand_with_a_key,
    without_a_key_nobody_is_let_in,
    the_sweep_finds_what_the_stream_lost,
    a_missing_permission_shows,
]


def main():
    passed = failed = 0
    with contextlib.ExitStack() as stack:
        started = time.monotonic()
        world = World(stack)
        print(f"deployed in {time.monotonic() - started:.0f} s", flush=True)
        for step in STORY:
            try:
                step(world)
                passed += 1
                print(f"ok      {step.__name__}", flush=True)
            except Exception:
                failed += 1
                print(f"FAILED  {step.__name__}\n{traceback.format_exc()}", flush=True)
        if failed:
            with open(world.log_path, "rb") as log:
                print(log.read()[-6000:].decode(errors="replace"))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
