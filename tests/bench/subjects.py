"""What is run: our functions, and beside them whatever else speaks the Runtime API."""

import base64
import copy
import dataclasses
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import typing

from world import ROOT, SIGNING_KEY, sample

TABLES = {name: name.lower() for name in ("INBOX_TABLE", "RECORDS_TABLE", "AUDIT_TABLE", "STATE_TABLE")}
SECRETS = {
    "certbridge/sources/accredible": json.dumps({"signing": [SIGNING_KEY], "api_key": "bench"}),
    "certbridge/destinations/snapshots": json.dumps({"api_key": "bench"}),
    "certbridge/audit": json.dumps({"digest_key": "bench"}),
}
FLOOR, PYTHON, NODE = "rust-floor", "python-powertools", "node-powertools"


@dataclasses.dataclass
class Subject:
    """A command, and what is expected of it."""

    name: str
    command: list
    event: typing.Callable
    cwd: str = ROOT
    env: dict = dataclasses.field(default_factory=dict)
    secrets: dict = dataclasses.field(default_factory=dict)
    # Whether what it puts into a table stands there already.
    duplicates: bool = False
    answers: tuple = (200, 202)
    # Calls to AWS and requests to providers for each event: exactly these. None: whatever it likes.
    calls: dict = None
    requests: dict = None
    # Whether everything after init goes over connections that init opened.
    opens_nothing: bool = False


def delivered(signature_header):
    """The sample of a webhook, each time of another certificate."""
    gateway = sample("events/webhook/payload-v2.json")
    said = json.loads(gateway["body"])
    del gateway["headers"]["x-accredible-signature"]

    def event(number):
        body = json.dumps({**said, "certificate_id": str(number)})
        one = copy.deepcopy(gateway)
        one["body"] = body
        one["headers"][signature_header.lower()] = hmac.new(SIGNING_KEY.encode(), body.encode(), hashlib.sha256).hexdigest()
        return json.dumps(one).encode()

    return event


def streamed():
    """The sample of the inbox's stream, each time another event of another certificate."""
    stream = sample("events/sync-event/stream.json")
    image = stream["Records"][0]["dynamodb"]["NewImage"]
    body = base64.b64decode(image["body"]["B"]).decode()
    key, digest = image["pk"]["S"].partition("#")[2], image["body_digest"]["S"]
    certificate = json.loads(body)["certificate_id"]

    def event(number):
        own = body.replace(certificate, str(number)).encode()
        text = json.dumps(stream).replace(key, hashlib.sha256(str(number).encode()).hexdigest())
        text = text.replace(image["body"]["B"], base64.b64encode(own).decode())
        return text.replace(digest, hashlib.sha256(own).hexdigest()).replace(certificate, str(number)).encode()

    return event


def functions():
    return sorted(os.listdir(os.path.join(ROOT, "functions")))


def find_binary(function, folders):
    """The binary as `sam build` or `cargo lambda build` leaves it."""
    logical = "".join(word.capitalize() for word in function.split("-")) + "Function"
    for folder in folders:
        for name in (logical, function):
            path = os.path.join(folder, name, "bootstrap")
            if os.path.exists(path):
                return os.path.abspath(path)
    sys.exit(f"no binary of {function} below {' or '.join(folders)}: run `sam build` or `cargo lambda build --release`")


def ours(folders):
    webhook, sync_event = find_binary("webhook", folders), find_binary("sync-event", folders)
    fresh = Subject("webhook", [webhook], delivered("X-Accredible-Signature"), env=TABLES, secrets=SECRETS, answers=(202,),
                    calls={"PutItem": 1}, opens_nothing=True)
    duplicate = dataclasses.replace(fresh, name="webhook, duplicates", duplicates=True, answers=(200,))
    synced = Subject("sync-event", [sync_event], streamed(), env={**TABLES, "DESTINATION": "snapshots"}, secrets=SECRETS,
                     answers=("done",), calls={"UpdateItem": 1, "TransactWriteItems": 1}, requests={"credential": 1, "sync": 1})
    return [fresh, duplicate, synced]


def targets(path):
    """Other commands, from a file."""
    with open(path) as file:
        listed = json.load(file)
    return [target(**one) for one in listed]


def target(name, command, signature_header="X-Signature", cwd=ROOT, env=None, secrets=None):
    return Subject(name, command, delivered(signature_header), cwd=os.path.abspath(cwd), env=env or {}, secrets=secrets or {})


def peers(folder, scratch):
    """The peers as their README prepares them, in copies: nothing is left where they are."""
    os.makedirs(scratch, exist_ok=True)

    def prepared(name, *commands):
        to = os.path.join(scratch, name)
        if not os.path.exists(os.path.join(to, "prepared")):
            print(f"preparing {name}", flush=True)
            shutil.copytree(os.path.join(folder, name), to, dirs_exist_ok=True)
            for command in commands:
                subprocess.run(command, cwd=to, check=True, stdout=subprocess.DEVNULL)
            open(os.path.join(to, "prepared"), "w").close()
        return to

    # A manifest below a workspace that does not list it is an error, unless it is a workspace itself.
    floor = prepared(FLOOR, ["sh", "-c", "printf '\\n[workspace]\\n' >> Cargo.toml"],
                     ["cargo", "build", "--release", "--target-dir", "target"])
    packages = ["aws-lambda-powertools", "awslambdaric", "boto3", "jmespath"]
    python = prepared(PYTHON, [sys.executable, "-m", "venv", "venv"], ["venv/bin/pip", "install", "--quiet", *packages])
    node = prepared(NODE, ["npm", "install", "--silent"])
    return [
        target(FLOOR, [os.path.join(floor, "target/release/floor")], cwd=floor),
        target(PYTHON, [os.path.join(python, "venv/bin/python"), "-m", "awslambdaric", "handler.handler"], cwd=python),
        target(NODE, ["node", "runtime.mjs"], cwd=node),
    ]
