"""What a function finds around it: AWS and the providers, each answering at once, and counting."""

import collections
import contextlib
import functools
import hashlib
import json
import os
import ssl
import subprocess

from server import Server

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIGNING_KEY = "bench-signing-key"

# Each service has an address of its own, as on AWS: no connection to one can serve for another. Whoever reads only the
# common variable has one address for all, and see `aws` for that.
SHARED = "shared"
SERVICES = {
    "dynamodb": "AWS_ENDPOINT_URL_DYNAMODB",
    "secretsmanager": "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "sqs": "AWS_ENDPOINT_URL_SQS",
    SHARED: "AWS_ENDPOINT_URL",
}
# Lambda's machine has its roots in one file. Debian has them in a folder too, and who reads both starts slower.
ROOTS_OF_THIS_MACHINE = "/etc/ssl/certs/ca-certificates.crt"


def sample(path):
    with open(os.path.join(ROOT, path)) as file:
        return json.load(file)


class World:
    """The servers of one run of one process. `duplicates`: what is put into a table stands there already."""

    def __init__(self, secrets, duplicates, certificates):
        self.secrets, self.duplicates, self.certificates = secrets, duplicates, certificates
        self.calls, self.requests = collections.Counter(), collections.Counter()
        # The documented answer of Accredible's API, with a location.
        self.credential = sample("shared/mapping/tests/plans/accredible.json")[1]["document"]

    async def __aenter__(self):
        self.stack = contextlib.AsyncExitStack()
        tls = self.certificates and self.certificates.server
        start = self.stack.enter_async_context
        self.services = {name: await start(Server(functools.partial(self.aws, name), tls)) for name in SERVICES}
        self.providers = await start(Server(self.provider))
        return self

    async def __aexit__(self, *_):
        await self.stack.aclose()

    def env(self):
        """Where everything is."""
        queue = self.services["sqs"].url + "/000000000000/queue"
        return {
            **{variable: self.services[name].url for name, variable in SERVICES.items()},
            **(self.certificates.env if self.certificates else {"SSL_CERT_FILE": ROOTS_OF_THIS_MACHINE}),
            "ACCREDIBLE_URL": self.providers.url, "SNAPSHOTS_URL": self.providers.url,
            "RETRY_QUEUE_URL": queue, "QUEUE_URL": queue + ".fifo",
        }

    def seen(self):
        """Calls to AWS, requests to the providers, and the connections that AWS took so far."""
        connections = {name: server.connections for name, server in self.services.items()}
        return collections.Counter(self.calls), collections.Counter(self.requests), collections.Counter(connections)

    async def aws(self, server, method, path, headers, body):
        service, _, operation = headers.get("x-amz-target", f"{method} {path}").rpartition(".")
        self.calls[operation] += 1
        status, answer = self.called(operation, json.loads(body or b"{}"))
        head = {"content-type": headers.get("content-type", "application/json"), "x-amzn-requestid": "bench"}
        if server == SHARED and not service.startswith("DynamoDB"):
            # Or the next call to DynamoDB could go over a connection that on AWS leads elsewhere.
            head["connection"] = "close"
        return status, head, json.dumps(answer).encode()

    def secret(self, name):
        return {"ARN": f"arn:aws:secretsmanager:us-east-1:000000000000:secret:{name}", "Name": name, "VersionId": "0" * 32,
                "SecretString": self.secrets.get(name, SIGNING_KEY), "CreatedDate": 1.7e9}

    def called(self, operation, given):
        match operation:
            case "GetSecretValue":
                return 200, self.secret(given["SecretId"])
            case "BatchGetSecretValue":
                return 200, {"SecretValues": [self.secret(name) for name in given["SecretIdList"]], "Errors": []}
            case "PutItem" if self.duplicates:
                return 400, {"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
                             "message": "The conditional request failed", "Item": given["Item"]}
            # Nothing stood there before, so `ALL_OLD` gives no attributes: every event is of another record.
            case "PutItem" | "UpdateItem" | "TransactWriteItems" | "GetItem":
                return 200, {}
            case "Query":
                return 200, {"Items": [], "Count": 0, "ScannedCount": 0}
            case "SendMessage":
                digest = hashlib.md5(given["MessageBody"].encode()).hexdigest()
                return 200, {"MessageId": "0", "MD5OfMessageBody": digest, "SequenceNumber": "1"}
            case _:
                return 400, {"__type": "UnknownOperationException", "message": f"the bench answers no {operation}"}

    async def provider(self, method, path, headers, body):
        head = {"content-type": "application/json"}
        part = path.strip("/").split("/")
        match method, part:
            case "GET", ["v1", "credentials", id]:
                self.requests["credential"] += 1
                answer = {"credential": {**self.credential["credential"], "id": id}}
            case "GET", ["locations"]:
                self.requests["locations"] += 1
                answer = [{"id": self.credential["credential"]["custom_attributes"]["location_id"]}]
            case "POST", ["certificates", id, "sync"] if json.loads(body)["certificate_id"] == id:
                self.requests["sync"] += 1
                answer = {"success": True}
            case _:
                return 404, head, b"{}"
        return 200, head, json.dumps(answer).encode()


class Certificates:
    """A throw-away authority, and the server's certificate. RSA with 2048 bits, as AWS's are."""

    CONFIG = """
        [req]
        distinguished_name = name
        [name]
        [ca]
        basicConstraints = critical, CA:TRUE
        keyUsage = critical, keyCertSign
        subjectKeyIdentifier = hash
        [server]
        subjectAltName = IP:127.0.0.1
        authorityKeyIdentifier = keyid
    """

    def __init__(self, folder):
        self.folder = folder
        with open(self.path("config"), "w") as file:
            file.write(self.CONFIG)
        self.make("ca")
        self.make("server", "-CA", self.path("ca.pem"), "-CAkey", self.path("ca.key"))
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(self.path("server.pem"), self.path("server.key"))
        # With the machine's own roots, so that whoever reads roots from a file reads as many as on Lambda.
        with open(self.path("trusted.pem"), "w") as trusted:
            for path in [self.path("ca.pem"), ROOTS_OF_THIS_MACHINE]:
                if os.path.exists(path):
                    with open(path) as file:
                        trusted.write(file.read())
        # The AWS SDKs and our functions, rustls with the machine's roots, Node.
        variables = ["AWS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"]
        self.env = {variable: self.path("trusted.pem") for variable in variables}

    def path(self, name):
        return os.path.join(self.folder, name)

    def make(self, name, *options):
        command = ["openssl", "req", "-x509", "-config", self.path("config"), "-extensions", name, "-days", "2",
                   "-newkey", "rsa:2048", "-nodes", "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.pem"),
                   "-subj", f"/CN=certbridge bench {name}", *options]
        subprocess.run(command, check=True, capture_output=True)
