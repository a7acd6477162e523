#!/usr/bin/env python3
"""Writes hmac.json: deliveries that must be proven, signed by Python's own hmac, and whose key proves them.

The tests read the JSON, so Python is needed only to change it: python3 make.py > hmac.json
"""
import base64
import hashlib
import hmac
import json

NOW = "2026-03-01T12:00:00Z"
SECONDS = 1772366400
BODY = b'{"event_type":"certificate_issued","certificate_id":"10000005"}'

HEX = 'scheme = "hmac-sha256"\nheader = "X-Signature"\n'
BASE64 = HEX + 'encoding = "base64"\n'
PREFIXED = HEX + 'prefix = "sha256="\n'
TIMED = PREFIXED + 'timestamp = { header = "X-Timestamp", tolerance_seconds = 300 }\n'

vectors = []


def tag(key, signed):
    return hmac.new(key.encode(), signed, hashlib.sha256).digest()


def vector(name, scheme, write, keys=("secret",), signer=0, body=BODY, timestamp=None):
    signed = body if timestamp is None else timestamp.encode() + b"." + body
    headers = [["X-Signature", write(tag(keys[signer], signed))]]
    if timestamp is not None:
        headers.append(["X-Timestamp", timestamp])
    vectors.append(
        {"name": name, "verification": scheme, "keys": list(keys), "proven_by": signer, "body_hex": body.hex(), "headers": headers}
    )


def hexed(digest):
    return digest.hex()


def based(digest):
    return base64.b64encode(digest).decode()


def prefixed(digest):
    return "sha256=" + digest.hex()


vector("hex", HEX, hexed)
vector("hex, in upper case", HEX, lambda digest: digest.hex().upper())
vector("hex, with spaces around it", HEX, lambda digest: f"  {digest.hex()} ")
vector("base64", BASE64, based)
vector("base64, with spaces around it", BASE64, lambda digest: f" {based(digest)} ")
vector("prefix", PREFIXED, prefixed)
vector("prefix, which the sender leaves out", PREFIXED, hexed)
vector("empty body", HEX, hexed, body=b"")
vector("body that is not UTF-8", HEX, hexed, body=bytes(range(256)))
vector("body with a line break at its end", HEX, hexed, body=BODY + b"\n")
vector("key of one byte", HEX, hexed, keys=("k",))
vector("key as long as the block", HEX, hexed, keys=("k" * 64,))
vector("key longer than the block, which is hashed", HEX, hexed, keys=("k" * 65,))
vector("key that is not ASCII", HEX, hexed, keys=("schl\u00fcssel",))
vector("first of three keys", HEX, hexed, keys=("one", "two", "three"), signer=0)
vector("last of three keys", HEX, hexed, keys=("one", "two", "three"), signer=2)
vector("epoch seconds", TIMED, prefixed, timestamp=str(SECONDS))
vector("epoch milliseconds", TIMED, prefixed, timestamp=f"{SECONDS}123")
vector("RFC 3339", TIMED, prefixed, timestamp="2026-03-01T13:00:00.5+01:00")
vector("oldest timestamp that is allowed", TIMED, prefixed, timestamp=str(SECONDS - 300))
vector("furthest timestamp that is allowed", TIMED, prefixed, timestamp=str(SECONDS + 300))
vector("timestamp and an empty body", TIMED, prefixed, body=b"", timestamp=str(SECONDS))

print(json.dumps({"now": NOW, "vectors": vectors}, indent=2))
