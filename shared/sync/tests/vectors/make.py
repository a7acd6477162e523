#!/usr/bin/env python3
"""Writes checkpoint.json: Merkle trees by the recursive definition of RFC 6962, and checkpoints signed by Python.

The tests read the JSON, so Python (with its package cryptography) is needed only to change it:
python3 make.py > checkpoint.json
"""
import base64
import hashlib
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

LISTED = 33
SIZES = [*range(LISTED + 1), 100, 255, 256, 257, 1000, 4097]


def sha256(data):
    return hashlib.sha256(data).digest()


def canonical(value):
    # Enough of RFC 8785 for texts without control characters, integers and keys in ASCII.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def head(i):
    """Two sources share ids, and some ids are not ASCII."""
    number = i // 2
    record_id = f"zürich-{number}" if number % 5 == 0 else str(10000000 + number)
    source = ["accredible", "manual"][i % 2]
    last = sha256(str(i).encode()).hex()
    return {"record": f"certificate#{source}#{record_id}", "sequence": i * 7 % 11 + 1, "hash": last}


def place(head):
    record_id = head["record"].split("#", 2)[2]
    return sha256(record_id.encode()), head["record"].encode()


def heads(size):
    return sorted(map(head, range(size)), key=place)


def split(n):
    """The largest power of two that is smaller than n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def root(leaves):
    """MTH of section 2.1."""
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0])
    k = split(len(leaves))
    return sha256(b"\x01" + root(leaves[:k]) + root(leaves[k:]))


def path(m, leaves):
    """PATH of section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return path(m, leaves[:k]) + [root(leaves[k:])]
    return path(m - k, leaves[k:]) + [root(leaves[:k])]


def chosen(size):
    """Which leaves are proven: all of a small tree, the edges of a larger one."""
    if size <= 8:
        return range(size)
    k = split(size)
    return sorted({0, k - 1, k, (k + size) // 2, size - 1})


def tree(size):
    members = heads(size)
    leaves = [canonical(member).encode() for member in members]
    paths = [
        {"record": members[m]["record"], "index": m, "path": [sibling.hex() for sibling in path(m, leaves)]}
        for m in chosen(size)
    ]
    rows = sum(member["sequence"] for member in members)
    return {"size": size, "rows": rows, "root": root(leaves).hex(), "paths": paths}


def key(name):
    seed = sha256(name.encode())
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    text = {"seed": base64.b64encode(seed).decode(), "public": base64.b64encode(public).decode()}
    return private, {**text, "id": sha256(public).hex()[:16]}


def checkpoint(night, size, previous, signer):
    made = tree(size)
    body = {
        "schema": 1,
        "number": night,
        "time": f"2026-03-{night:02}T02:00:00Z",
        "size": size,
        "rows": made["rows"],
        "root": made["root"],
        "previous": previous,
        "key_id": None if signer is None else signer[1]["id"],
    }
    text = canonical(body)
    stored = {"type": "unsigned", "checkpoint": body}
    if signer is not None:
        signature = base64.b64encode(signer[0].sign(text.encode())).decode()
        stored = {"type": "signed", "checkpoint": body, "signature": signature}
    return {"canonical": text, "hash": sha256(text.encode()).hex(), "stored": stored}


old, new = key("the first key of the tests"), key("the second key of the tests")
history = []
# A quiet night is the second: the same heads, another checkpoint.
for night, (size, signer) in enumerate([(0, None), (7, None), (7, old), (8, old), (33, new), (257, new)], start=1):
    history.append(checkpoint(night, size, history[-1]["hash"] if history else None, signer))

leaves = [canonical(member) for member in heads(LISTED)]
trees = [tree(size) for size in SIZES]
vectors = {"leaves": leaves, "trees": trees, "keys": [old[1], new[1]], "history": history}
print(json.dumps(vectors, indent=1, ensure_ascii=False))
