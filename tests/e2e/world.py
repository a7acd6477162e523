"""The template, deployed into an AWS on this machine: MiniStack, which runs the real `bootstrap` binaries as processes, with
IAM enforced. Needs `sam build` to have run, and on the PATH: sam, ministack; in this Python: boto3.
"""

import argparse
import contextlib
import hashlib
import hmac
import json
import os
import re
import socket
import subprocess
import tempfile
import time
import traceback
import urllib.error
import urllib.request

import boto3

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STACK = "certbridge-e2e"
# The keys of the samples in events/.
SIGNING, API_KEY = "sample-signing-key", "sample-api-key"
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


def signed(body, key=SIGNING):
    """The headers of a webhook."""
    signature = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    return {"content-type": "application/json", "X-Accredible-Signature": signature}


def listens(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True


def arguments(about):
    """The options that the scripts here have in common."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    ground = parser.add_mutually_exclusive_group()
    ground.add_argument("--built", default=os.path.join(ROOT, ".aws-sam", "build"), help="what `sam build` made")
    ground.add_argument("--package", metavar="DIR", help="what `make package` made, to deploy that instead")
    return parser.parse_args()


def play(story, *actors):
    """Plays the steps of a story, one line each. How many passed, and how many failed."""
    passed = 0
    for step in story:
        try:
            step(*actors)
            passed += 1
            print(f"ok      {step.__name__}", flush=True)
        except Exception:
            print(f"FAILED  {step.__name__}\n{traceback.format_exc()}", flush=True)
    return passed, len(story) - passed


class World:
    """The emulated AWS, the providers, and the deployed stack."""

    def __init__(self, stack: contextlib.ExitStack, built):
        self.stack = stack
        self.built = os.path.abspath(built)
        self.endpoint = f"http://127.0.0.1:{free_port()}"
        self.env = {
            "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1", "SAM_CLI_TELEMETRY": "0",
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
        until("MiniStack", lambda: listens(int(port)))

    def start_providers(self):
        command = ["cargo", "run", "--quiet", "-p", "certbridge-sandbox", "--example", "providers", "--", ACCREDIBLE_KEY, SNAPSHOTS_KEY]
        process = self.process(command, os.environ, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.providers = json.loads(process.stdout.readline())
        http("PUT", self.providers["snapshots"] + "/_sandbox/locations/loc_london", {"name": "London"})

    def write(self, name, text):
        path = os.path.join(self.built, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def built_template(self):
        with open(os.path.join(self.built, "template.yaml")) as file:
            return file.read()

    def template(self):
        """The built template, but for three things that MiniStack sees otherwise than AWS: it keeps concurrencies as the texts
        that CloudFormation's parameters are, and compares them with numbers; it wants a permission for SendMessageBatch, which AWS
        has none of, since SendMessage is that too; and it has no TLS, without which the buckets' policies open nothing."""
        text = self.built_template()
        # SAM writes the template anew; a package has it as it stands in the repository.
        text, without = re.subn(r"MaximumConcurrency:\s+(Ref: |!Ref )RetryConcurrency", "MaximumConcurrency: 5", text)
        assert without == 1
        text, without = re.subn(r"ParallelizationFactor:\s+(Ref: |!Ref )StreamConcurrency", "ParallelizationFactor: 2", text)
        assert without == 1
        text, without = re.subn(r"(?m)^  (?:Reports|Checkpoints)Policy:\n(?:   .*\n|\n)+", "", text)
        assert without == 2
        # A list of actions, one a line or in brackets, or a single one.
        text = re.sub(r"( +)- sqs:SendMessage\n", r"\1- sqs:SendMessage\n\1- sqs:SendMessageBatch\n", text)
        text = re.sub(r"\[sqs:SendMessage,", "[sqs:SendMessage, sqs:SendMessageBatch,", text)
        text = re.sub(r"Action: sqs:SendMessage(?=[\n,])", "Action: [sqs:SendMessage, sqs:SendMessageBatch]", text)
        return self.write("template-e2e.yaml", text)

    def deploy(self):
        parameters = [f"SnapshotsUrl={self.providers['snapshots']}", f"AccredibleUrl={self.providers['accredible']}"]
        template = self.template()
        command = ["sam", "deploy", "--template-file", template, "--stack-name", STACK, "--resolve-s3", "--no-confirm-changeset", "--no-progressbar",
                   "--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND", "--parameter-overrides", *parameters]
        done = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True)
        # Nothing of ours stays in a package.
        os.remove(template)
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
        key = {"id": "operations-1", "sha256": digest, "owner": "operations", "scopes": ["sync:write", "batch:run", "records:read", "audit:read"]}
        weak = {"id": "weak", "sha256": hashlib.sha256(b"weak").hexdigest(), "owner": "Willi", "scopes": ["records:read"]}
        for name, value in {"sources/accredible": {"signing": [SIGNING], "api_key": ACCREDIBLE_KEY},
                            "destinations/snapshots": {"api_key": SNAPSHOTS_KEY}, "api-keys": {"keys": [key, weak]}}.items():
            secrets.put_secret_value(SecretId="certbridge/" + name, SecretString=json.dumps(value))

    def variables(self):
        """The variables of each function, as they were deployed, and the way to this AWS."""
        access = {name: value for name, value in self.env.items() if name.startswith("AWS_")}
        functions = {name: id for name, id in self.physical.items() if name.endswith("Function")}
        deployed = self.client("lambda").get_function_configuration
        own = {name: deployed(FunctionName=id).get("Environment", {}).get("Variables", {}) for name, id in functions.items()}
        return {name: variables | access for name, variables in own.items()}

    # What a person would do.

    def certbridge(self, *words, expect=(0,)):
        """Our command, with this AWS for AWS. What it printed."""
        command = ["cargo", "run", "--quiet", "--", *words]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **self.env}, capture_output=True, text=True, timeout=300)
        assert done.returncode in expect, f"{words}: {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def credential(self, id, location="loc_london", changed_at=None):
        body = {"custom_attributes": {"location_id": location}}
        url = f"{self.providers['accredible']}/_sandbox/credentials/{id}"
        status, answer = http("PUT", url, body)
        assert status < 300, answer
        if changed_at:
            status, answer = http("PUT", f"{url}/updated_at", {"updated_at": changed_at})
            assert status < 300, answer

    def webhook(self, id, event_type="certificate_created", key=SIGNING, source="accredible"):
        body = json.dumps({"event_type": event_type, "certificate_id": id, "timestamp": "2026-03-12T19:03:58Z", "source": source}).encode()
        status, answer = http("POST", self.api + "/webhooks/certificates", body, signed(body, key))
        return status, json.loads(answer or b"{}")

    def sync(self, id, headers, query=""):
        status, answer = http("POST", f"{self.api}/certificates/{id}/sync{query}", b"{}", {"content-type": "application/json", **headers})
        return status, json.loads(answer or b"{}")

    def api_call(self, method, path, body=None):
        """A call with the key of operations."""
        headers = {"authorization": f"Bearer {API_KEY}", "content-type": "application/json"}
        return http(method, self.api + path, body, headers)

    def batch(self, id):
        status, answer = self.api_call("GET", f"/batches/{id}")
        return json.loads(answer) if status == 200 else None

    def batch_over(self, id):
        """Waits until a batch is over. The state machine looks for its turn once a minute."""
        def over():
            batch = self.batch(id)
            return batch if batch and batch["status"] in ("finished", "failed") else None
        return until(f"batch {id} over", over, seconds=240)

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

    def make_overdue(self, event_id):
        """At once, instead of after a minute."""
        self.client("dynamodb").update_item(
            TableName=self.outputs["InboxTableName"], Key={"pk": {"S": f"accredible#{event_id}"}},
            UpdateExpression="SET next_at = :long_ago", ExpressionAttributeValues={":long_ago": {"N": "1"}})

    def trail(self, id):
        rows = self.client("dynamodb").query(
            TableName=self.outputs["AuditTableName"], KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"certificate#accredible#{id}"}})["Items"]
        return [json.loads(row["row"]["S"]) for row in rows]

    def settled(self, event_id):
        until(f"{event_id} settled", lambda: self.state(event_id) == "settled")
