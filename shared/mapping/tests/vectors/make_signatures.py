#!/usr/bin/env python3
"""Writes signatures.json: deliveries under RSA, Ed25519 and Standard Webhooks, made by implementations that are not ours.

RSA and Ed25519 are signed by Python's cryptography and by the openssl command, Standard Webhooks by its own library.
The keys are fresh in every run. The tests read the JSON, so this is needed only to change it:

    pip install cryptography standardwebhooks
    python3 make_signatures.py > signatures.json
"""
import base64
import datetime
import hashlib
import hmac
import json
import pathlib
import subprocess
import tempfile

import standardwebhooks
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

NOW = "2026-03-01T12:00:00Z"
SECONDS = 1772366400
BODY = b'{"event_type":"certificate_issued","certificate_id":"10000005"}'
BINARY = bytes(range(256))

RSA = 'scheme = "rsa-sha256"\nheader = "X-Signature"\n'
RSA_HEX = RSA + 'encoding = "hex"\n'
RSA_TIMED = RSA + 'prefix = "sig="\ntimestamp = { header = "X-Timestamp", tolerance_seconds = 300 }\n'
PSS = RSA + 'padding = "pss"\n'
ED25519 = 'scheme = "ed25519"\nheader = "X-Signature"\n'
ED25519_HEX = ED25519 + 'encoding = "hex"\n'
ED25519_TIMED = ED25519 + 'prefix = "ed="\ntimestamp = { header = "X-Timestamp", tolerance_seconds = 300 }\n'
HMAC = 'scheme = "hmac-sha256"\nheader = "X-Signature"\n'
STANDARD = 'scheme = "standard-webhooks"\n'
SVIX = STANDARD + 'id_header = "svix-id"\ntimestamp_header = "svix-timestamp"\nsignature_header = "svix-signature"\n'

proven, refused, private = [], [], []


# Keys and how they are written.


def b64(data):
    return base64.b64encode(data).decode()


def public(key, encoding, form):
    formats = {"spki": "SubjectPublicKeyInfo", "pkcs1": "PKCS1", "raw": "Raw"}
    return key.public_key().public_bytes(
        getattr(serialization.Encoding, encoding), getattr(serialization.PublicFormat, formats[form])
    )


def pem(key, form="spki"):
    return public(key, "PEM", form).decode()


def der(key, form="spki"):
    return b64(public(key, "DER", form))


def raw(key):
    return b64(public(key, "Raw", "raw"))


def pkcs8(key, encoding):
    return key.private_bytes(
        getattr(serialization.Encoding, encoding), serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def seed(key):
    return key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())


def tlv(tag, content):
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([0x82]) + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def integer(number):
    return tlv(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def pkcs1_of(modulus, exponent):
    """A PKCS#1 key that no library would make."""
    return b64(tlv(0x30, integer(modulus) + integer(exponent)))


# Signatures.


def pkcs1v15(key, data, digest=hashes.SHA256()):
    return key.sign(data, padding.PKCS1v15(), digest)


def pss(key, data, salt=32, digest=hashes.SHA256()):
    return key.sign(data, padding.PSS(padding.MGF1(digest), salt), digest)


def openssl(key, data, *options):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "key").write_bytes(pkcs8(key, "PEM"))
        (folder / "data").write_bytes(data)
        command = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", folder / "key", "-in", folder / "data", *options]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


OPENSSL_PKCS1 = ("-digest", "sha256", "-pkeyopt", "rsa_padding_mode:pkcs1")
OPENSSL_PSS = ("-digest", "sha256", "-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest")


def timed(data, timestamp):
    return timestamp.encode() + b"." + data


def one(signature):
    return [["X-Signature", signature]]


def standard(signatures, id="msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", timestamp=str(SECONDS), vendor="webhook"):
    names = ("id", "timestamp", "signature")
    return [[f"{vendor}-{name}", value] for name, value in zip(names, (id, timestamp, signatures))]


def v1(secret, data=BODY, id="msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", at=SECONDS):
    """By the library; what is no text, which it does not take, by Python's own HMAC."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        return "v1," + b64(hmac.new(key, f"{id}.{at}.".encode() + data, hashlib.sha256).digest())
    time = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
    return standardwebhooks.Webhook(secret).sign(id, time, text)


def v1a(key, data=BODY, id="msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", at=SECONDS):
    return "v1a," + b64(key.sign(f"{id}.{at}.".encode() + data))


def entry(name, scheme, keys, body, headers):
    return {"name": name, "verification": scheme, "keys": keys, "body_hex": body.hex(), "headers": headers}


def good(name, scheme, keys, headers, body=BODY, signer=0):
    proven.append({**entry(name, scheme, keys, body, headers), "proven_by": signer})


def bad(name, scheme, keys, headers, reason, body=BODY):
    refused.append({**entry(name, scheme, keys, body, headers), "reason": reason})


def signs(name, scheme, key, public_key):
    """The repository holds no private key in PEM, which scanners look for: here an underscore stands for its space."""
    key = key.replace("PRIVATE KEY", "PRIVATE_KEY")
    private.append({"name": name, "verification": scheme, "private": key, "public": public_key})


first, second = (rsa.generate_private_key(65537, 2048) for _ in range(2))
odd = rsa.generate_private_key(65537, 2056)
large = rsa.generate_private_key(65537, 4096)
largest = rsa.generate_private_key(65537, 8192)
small = rsa.generate_private_key(65537, 1024)
almost = rsa.generate_private_key(65537, 2040)
curve = ec.generate_private_key(ec.SECP256R1())
ed, other_ed = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_" + b64(bytes(range(64)))
plain = b64(pkcs1v15(first, BODY))

# RSA: every way to write a key, with signatures of both makers.
for form in ("spki", "pkcs1"):
    good(f"RSA, PEM, {form}", RSA, [pem(first, form)], one(plain))
    good(f"RSA, PEM with CRLF, {form}", RSA, [pem(first, form).replace("\n", "\r\n")], one(plain))
    good(f"RSA, PEM on one line, {form}", RSA, [pem(first, form).replace("\n", " ")], one(plain))
    good(f"RSA, PEM without line breaks, {form}", RSA, [pem(first, form).replace("\n", "")], one(plain))
    good(f"RSA, base64, {form}", RSA, [der(first, form)], one(plain))
    wrapped = "\n".join(der(first, form)[at : at + 76] for at in range(0, len(der(first, form)), 76))
    good(f"RSA, base64 in lines, {form}", RSA, [f"  {wrapped}\r\n\t"], one(plain))
    good(f"RSA, base64 without padding, {form}", RSA, [der(first, form).rstrip("=")], one(plain))
good("RSA, openssl", RSA, [pem(first)], one(b64(openssl(first, BODY, *OPENSSL_PKCS1))))
good("RSA, hex", RSA_HEX, [pem(first)], one(pkcs1v15(first, BODY).hex()))
good("RSA, hex in upper case", RSA_HEX, [pem(first)], one(pkcs1v15(first, BODY).hex().upper()))
good("RSA, 2056 bits", RSA, [pem(odd)], one(b64(pkcs1v15(odd, BODY))))
good("RSA, 4096 bits", RSA, [pem(large)], one(b64(pkcs1v15(large, BODY))))
good("RSA, 8192 bits", RSA, [pem(largest)], one(b64(pkcs1v15(largest, BODY))))
good("RSA, empty body", RSA, [pem(first)], one(b64(pkcs1v15(first, b""))), body=b"")
good("RSA, body that is not UTF-8", RSA, [pem(first)], one(b64(openssl(first, BINARY, *OPENSSL_PKCS1))), body=BINARY)
good("RSA, second of two keys", RSA, [pem(second), der(first)], one(plain), signer=1)
good("RSA, keys of two sizes", RSA, [pem(large), der(first, "pkcs1")], one(plain), signer=1)
good("RSA, an unusable key before it", RSA, [pem(small), "nonsense", pem(ed), pem(first)], one(plain), signer=3)
stamp = str(SECONDS - 300)
good("RSA, prefix and timestamp", RSA_TIMED, [pem(first)],
     one("sig=" + b64(pkcs1v15(first, timed(BODY, stamp)))) + [["X-Timestamp", stamp]])
good("PSS, openssl", PSS, [pem(first)], one(b64(openssl(first, BODY, *OPENSSL_PSS))))
for key, name in ((first, "2048"), (odd, "2056"), (large, "4096")):
    good(f"PSS, {name} bits", PSS, [pem(key)], one(b64(pss(key, BODY))))
good("PSS, PKCS#1 key", PSS, [der(first, "pkcs1")], one(b64(pss(first, BODY))))
good("PSS, empty body", PSS, [pem(first)], one(b64(pss(first, b""))), body=b"")
good("PSS, body that is not UTF-8", PSS, [pem(first)], one(b64(pss(first, BINARY))), body=BINARY)
good("PSS, second of two keys", PSS, [pem(second), pem(first)], one(b64(pss(first, BODY))), signer=1)

bad("PSS, where PKCS#1 v1.5 is declared", RSA, [pem(first)], one(b64(pss(first, BODY))), "mismatch")
bad("PKCS#1 v1.5, where PSS is declared", PSS, [pem(first)], one(plain), "mismatch")
maximal = 2048 // 8 - 32 - 2
for salt in (0, 20, 31, 33, maximal):
    bad(f"PSS, salt of {salt} bytes", PSS, [pem(first)], one(b64(pss(first, BODY, salt))), "mismatch")
for digest in (hashes.SHA1(), hashes.SHA384(), hashes.SHA512()):
    bad(f"RSA with {digest.name}", RSA, [pem(first)], one(b64(pkcs1v15(first, BODY, digest))), "mismatch")
    bad(f"PSS with {digest.name}", PSS, [pem(first)], one(b64(pss(first, BODY, digest.digest_size, digest))), "mismatch")
bad("RSA, another key", RSA, [pem(second)], one(plain), "mismatch")
bad("RSA, another body", RSA, [pem(first)], one(plain), "mismatch", body=BODY + b"\n")
bad("RSA, first byte cut off", RSA, [pem(odd)], one(b64(pkcs1v15(odd, BODY)[1:])), "mismatch")
bad("RSA, last byte cut off", RSA, [pem(odd)], one(b64(pkcs1v15(odd, BODY)[:-1])), "mismatch")
bad("RSA, a byte more", RSA, [pem(first)], one(b64(pkcs1v15(first, BODY) + b"\0")), "mismatch")
bad("RSA, a zero before it", RSA, [pem(first)], one(b64(b"\0" + pkcs1v15(first, BODY))), "mismatch")
bad("RSA, zeros", RSA, [pem(first)], one(b64(bytes(256))), "mismatch")
bad("RSA, one", RSA, [pem(first)], one(b64(bytes(255) + b"\1")), "mismatch")
bad("RSA, the modulus", RSA, [pem(first)],
    one(b64(first.public_key().public_numbers().n.to_bytes(256, "big"))), "mismatch")
bad("RSA, the modulus less one", RSA, [pem(first)],
    one(b64((first.public_key().public_numbers().n - 1).to_bytes(256, "big"))), "mismatch")
bad("RSA, cut below the shortest", RSA, [pem(first)], one(b64(pkcs1v15(first, BODY)[:-1])), "malformed")
bad("RSA, above the longest", RSA, [pem(first)], one(b64(bytes(1025))), "malformed")
bad("RSA, hex where base64 is declared", RSA, [pem(first)], one(pkcs1v15(first, BODY).hex()), "mismatch")
bad("RSA, base64 where hex is declared", RSA_HEX, [pem(first)], one(plain), "malformed")
bad("RSA, base64 without padding", RSA, [pem(first)], one(plain.rstrip("=")), "malformed")
bad("RSA, two signatures", RSA, [pem(first)], one(f"{plain},{plain}"), "doubled")
bad("RSA, two headers", RSA, [pem(first)], one(plain) + one(plain), "doubled")
bad("RSA, none", RSA, [pem(first)], [], "missing")
bad("RSA, a timestamp that is not signed", RSA_TIMED, [pem(first)], one(plain) + [["X-Timestamp", stamp]], "mismatch")
bad("RSA, an old timestamp", RSA_TIMED, [pem(first)],
    one(b64(pkcs1v15(first, timed(BODY, str(SECONDS - 301))))) + [["X-Timestamp", str(SECONDS - 301)]], "stale")
bad("RSA, a signature of Ed25519", RSA, [pem(first)], one(b64(ed.sign(BODY))), "malformed")

numbers = first.public_key().public_numbers()
spki = base64.b64decode(der(first))
for name, key in {
    "1024 bits": pem(small),
    "2040 bits": pem(almost),
    "8200 bits": pkcs1_of((1 << 8199) + 1, 65537),
    "16384 bits": pkcs1_of((1 << 16383) + 1, 65537),
    "an even modulus": pkcs1_of(numbers.n + 1, 65537),
    "an exponent of one": pkcs1_of(numbers.n, 1),
    "an even exponent": pkcs1_of(numbers.n, 65536),
    "a key of an elliptic curve": pem(curve),
    "a key of Ed25519": pem(ed),
    "a key of Ed25519 in base64": der(ed),
    "a private key in base64": b64(pkcs8(first, "DER")),
    "a shared secret": "correct-horse-battery-staple",
    "a secret of Standard Webhooks": SECRET,
    "a key cut short": b64(spki[:-1]),
    "a key with a byte more": b64(spki + b"\0"),
    "PEM cut short": pem(first)[:200],
    "PEM without its end": pem(first).split("-----END")[0],
    "PEM that ends otherwise": pem(first).replace("END PUBLIC", "END RSA PUBLIC"),
    "PEM of two keys": pem(first) + pem(second),
    "PEM with text before it": "the key: " + pem(first),
    "PEM under another label": pem(first).replace("PUBLIC KEY", "CERTIFICATE"),
    "PEM that is empty": "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
    "PEM that only begins": "-----BEGIN ",
    "base64 of nothing": "=",
    "base64 for addresses": der(first).replace("+", "-").replace("/", "_"),
}.items():
    bad(f"RSA, {name}", RSA, [key], one(plain), "unusable")
bad("RSA, only unusable keys", RSA, [pem(small), pem(ed), "x"], one(plain), "unusable")

# Ed25519.
mine = b64(ed.sign(BODY))
for name, key in {
    "raw": raw(ed),
    "raw with white space": f" {raw(ed)[:20]}\n{raw(ed)[20:]} ",
    "raw without padding": raw(ed).rstrip("="),
    "whpk_": "whpk_" + raw(ed),
    "PEM": pem(ed),
    "PEM on one line": pem(ed).replace("\n", " "),
    "base64": der(ed),
}.items():
    good(f"Ed25519, {name}", ED25519, [key], one(mine))
good("Ed25519, openssl", ED25519, [pem(ed)], one(b64(openssl(ed, BODY))))
good("Ed25519, hex", ED25519_HEX, [pem(ed)], one(ed.sign(BODY).hex()))
good("Ed25519, empty body", ED25519, [pem(ed)], one(b64(ed.sign(b""))), body=b"")
good("Ed25519, body that is not UTF-8", ED25519, [pem(ed)], one(b64(ed.sign(BINARY))), body=BINARY)
good("Ed25519, second of two keys", ED25519, [raw(other_ed), pem(ed)], one(mine), signer=1)
good("Ed25519, an unusable key before it", ED25519, [pem(first), b64(bytes(32)), raw(ed)], one(mine), signer=2)
good("Ed25519, prefix and timestamp", ED25519_TIMED, [raw(ed)],
     one("ed=" + b64(ed.sign(timed(BODY, stamp)))) + [["X-Timestamp", stamp]])

bad("Ed25519, another key", ED25519, [raw(other_ed)], one(mine), "mismatch")
bad("Ed25519, another body", ED25519, [raw(ed)], one(mine), "mismatch", body=BODY + b"\n")
bad("Ed25519, a byte less", ED25519, [raw(ed)], one(b64(ed.sign(BODY)[:-1])), "malformed")
bad("Ed25519, a byte more", ED25519, [raw(ed)], one(b64(ed.sign(BODY) + b"\0")), "malformed")
bad("Ed25519, zeros", ED25519, [raw(ed)], one(b64(bytes(64))), "mismatch")
ORDER = 2**252 + 27742317777372353535851937790883648493
halves = ed.sign(BODY)
second_form = halves[:32] + (int.from_bytes(halves[32:], "little") + ORDER).to_bytes(32, "little")
bad("Ed25519, the second form of a signature", ED25519, [raw(ed)], one(b64(second_form)), "mismatch")
bad("Ed25519, a signature of RSA", ED25519, [raw(ed)], one(plain), "malformed")
bad("Ed25519, two signatures", ED25519, [raw(ed)], one(f"{mine},{mine}"), "doubled")
PRIME = 2**255 - 19
# The points of small order and their second forms: whoever has one for a key proves nothing by a signature.
weak = {
    "0": 0, "1": 1, "-1": PRIME - 1, "p": PRIME, "p + 1": PRIME + 1,
    "order 8": int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"),
    "order 8, too": int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"),
}
# For the neutral element, this signature holds for every body: R is the base point times s, for s = 1.
BASE_POINT = bytes.fromhex("58" + "66" * 31)
for_all = b64(BASE_POINT + (1).to_bytes(32, "little"))
for name, y in weak.items():
    for sign_bit in (0, 1):
        key = b64((y | sign_bit << 255).to_bytes(32, "little"))
        bad(f"Ed25519, the weak key {name}, {sign_bit}", ED25519, [key], one(for_all), "unusable")
for name, key in {
    "31 bytes": b64(bytes(range(31))),
    "33 bytes": b64(bytes(range(33))),
    "no point of the curve": b64((2).to_bytes(32, "little")),
    "a key of RSA": pem(first),
    "a key of an elliptic curve": pem(curve),
    "a private key in base64": b64(pkcs8(ed, "DER")),
    "a private key of Standard Webhooks": "whsk_" + b64(seed(ed)),
    "a key in hex": public(ed, "Raw", "raw").hex(),
    "whpk_ alone": "whpk_",
    "a key cut short": b64(public(ed, "DER", "spki")[:-1]),
    "a key with a byte more": b64(public(ed, "DER", "spki") + b"\0"),
    "a shared secret": "correct-horse-battery-staple",
}.items():
    bad(f"Ed25519, {name}", ED25519, [key], one(mine), "unusable")

# Standard Webhooks.
sig, asym = v1(SECRET), v1a(ed)
good("Standard, v1", STANDARD, [SECRET], standard(sig))
# The one that the libraries of Standard Webhooks have in their own tests. It is old, so anything near enough is.
good("Standard, the libraries' own", STANDARD + "tolerance_seconds = 4294967295\n", [SECRET],
     standard("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330"),
     body=b'{"test": 2432232314}')
good("Standard, secret without its prefix", STANDARD, [SECRET.removeprefix("whsec_")], standard(sig))
good("Standard, secret without padding", STANDARD, [OTHER_SECRET.rstrip("=")], standard(v1(OTHER_SECRET)))
good("Standard, secret of one byte", STANDARD, ["whsec_AA=="], standard(v1("whsec_AA==")))
good("Standard, secret with white space around it", STANDARD, [f" {SECRET}\n"], standard(sig))
good("Standard, second of two secrets", STANDARD, [OTHER_SECRET, SECRET], standard(sig), signer=1)
good("Standard, second of two signatures", STANDARD, [SECRET], standard(f"{v1(OTHER_SECRET)} {sig}"))
good("Standard, two secrets and two signatures", STANDARD, [SECRET, OTHER_SECRET], standard(f"{v1(OTHER_SECRET)} {sig}"))
good("Standard, v1a", STANDARD, ["whpk_" + raw(ed)], standard(asym))
good("Standard, v1 and v1a, public key", STANDARD, ["whpk_" + raw(ed)], standard(f"{sig} {asym}"))
good("Standard, v1 and v1a, secret", STANDARD, [SECRET], standard(f"{asym} {sig}"))
good("Standard, v1a and both sorts of keys", STANDARD, [SECRET, "whpk_" + raw(ed)], standard(asym), signer=1)
good("Standard, unknown versions around it", STANDARD, [SECRET], standard(f"v0,abc v9,{'A' * 200} {sig} v1b,??? x"))
good("Standard, a broken signature before it", STANDARD, [SECRET], standard(f"v1,abc v1,{b64(bytes(31))} {sig}"))
good("Standard, several spaces", STANDARD, [SECRET], standard(f"  {v1(OTHER_SECRET)}   {sig} "))
good("Standard, sixteen signatures", STANDARD, [SECRET], standard(" ".join([v1(OTHER_SECRET)] * 15 + [sig])))
good("Standard, headers of Svix", SVIX, [SECRET], standard(sig, vendor="svix"))
good("Standard, empty body", STANDARD, [SECRET], standard(v1(SECRET, b"")), body=b"")
good("Standard, body that is not UTF-8", STANDARD, [SECRET], standard(v1(SECRET, BINARY)), body=BINARY)
good("Standard, body with full stops", STANDARD, [SECRET], standard(v1(SECRET, b"1.2.3")), body=b"1.2.3")
for offset in (-300, 300):
    good(f"Standard, {offset} s", STANDARD, [SECRET], standard(v1(SECRET, at=SECONDS + offset), timestamp=str(SECONDS + offset)))
good("Standard, an unusable key before it", STANDARD, ["whsec_", "whpk_AAAA", SECRET], standard(sig), signer=2)

bad("Standard, another secret", STANDARD, [OTHER_SECRET], standard(sig), "mismatch")
bad("Standard, another body", STANDARD, [SECRET], standard(sig), "mismatch", body=BODY + b"\n")
bad("Standard, another id", STANDARD, [SECRET], standard(sig, id="msg_other"), "mismatch")
bad("Standard, another time", STANDARD, [SECRET], standard(sig, timestamp=str(SECONDS + 1)), "mismatch")
bad("Standard, v1 under the name of v1a", STANDARD, [SECRET], standard("v1a," + sig[3:]), "malformed")
bad("Standard, v1a under the name of v1", STANDARD, ["whpk_" + raw(ed)], standard("v1," + asym[4:]), "malformed")
bad("Standard, v1a for a secret", STANDARD, [SECRET], standard(asym), "mismatch")
bad("Standard, v1 for a public key", STANDARD, ["whpk_" + raw(ed)], standard(sig), "mismatch")
as_secret = "v1," + v1("whsec_" + raw(ed))[3:]
bad("Standard, the public key as a secret", STANDARD, ["whpk_" + raw(ed)], standard(as_secret), "mismatch")
bad("Standard, two headers", STANDARD, [SECRET], standard(sig) + [["Webhook-Signature", sig]], "doubled")
bad("Standard, two headers joined", STANDARD, [SECRET], standard(f"{sig},{sig}"), "doubled")
bad("Standard, two headers joined with a space", STANDARD, [SECRET], standard(f"{sig}, {sig}"), "doubled")
bad("Standard, two lists joined", STANDARD, [SECRET], standard(f"{asym} {sig},{sig} {asym}"), "doubled")
bad("Standard, joined with an empty header", STANDARD, [SECRET], standard(f"{sig},"), "doubled")
bad("Standard, joined after an empty header", STANDARD, [SECRET], standard(f",{sig}"), "doubled")
bad("Standard, unknown versions joined", STANDARD, [SECRET], standard(f"{sig} v8,a,v9,b"), "doubled")
bad("Standard, two ids", STANDARD, [SECRET], standard(sig, id="msg_1,msg_2"), "doubled")
bad("Standard, two timestamps", STANDARD, [SECRET], standard(sig, timestamp=f"{SECONDS},{SECONDS}"), "doubled")
bad("Standard, seventeen signatures", STANDARD, [SECRET], standard(" ".join([sig] * 17)), "malformed")
bad("Standard, only unknown versions", STANDARD, [SECRET], standard("v2,abc v3,def"), "malformed")
bad("Standard, a signature without its version", STANDARD, [SECRET], standard(sig[3:]), "malformed")
bad("Standard, an upper-case version", STANDARD, [SECRET], standard("V" + sig[1:]), "malformed")
bad("Standard, a signature cut short", STANDARD, [SECRET], standard(sig[:-4]), "malformed")
bad("Standard, a signature without padding", STANDARD, [SECRET], standard(sig.rstrip("=")), "malformed")
bad("Standard, an empty signature", STANDARD, [SECRET], standard("v1,"), "malformed")
bad("Standard, a comma", STANDARD, [SECRET], standard(","), "doubled")
bad("Standard, two headers joined with spaces", STANDARD, [SECRET], standard(f"{sig} , {sig}"), "doubled")
for index, name in enumerate(("id", "timestamp", "signature")):
    bad(f"Standard, no {name}", STANDARD, [SECRET], [h for h in standard(sig) if h[0] != f"webhook-{name}"], "missing")
    empty = standard(sig)
    empty[index] = [empty[index][0], " "]
    bad(f"Standard, an empty {name}", STANDARD, [SECRET], empty, "missing")
bad("Standard, an id with a full stop", STANDARD, [SECRET], standard(v1(SECRET, id="a.b"), id="a.b"), "malformed")
moved = f"{SECONDS}.x"
bad("Standard, a timestamp with a full stop", STANDARD, [SECRET], standard(sig, timestamp=moved), "malformed")
for stamp in (f"{SECONDS}.0", f"{SECONDS}000", NOW, f"+{SECONDS}", f"-{SECONDS}", "soon", "1e9", "9" * 30):
    bad(f"Standard, the timestamp {stamp}", STANDARD, [SECRET], standard(sig, timestamp=stamp), "malformed")
bad("Standard, milliseconds", STANDARD, [SECRET], standard(sig, timestamp="100000000000"), "stale")
for offset in (-301, 301, -SECONDS):
    headers = standard(v1(SECRET, at=SECONDS + offset), timestamp=str(SECONDS + offset))
    bad(f"Standard, {offset} s", STANDARD, [SECRET], headers, "stale")
bad("Standard, headers of Svix that are not declared", STANDARD, [SECRET], standard(sig, vendor="svix"), "missing")
bad("Standard, the specification's headers where Svix's are declared", SVIX, [SECRET], standard(sig), "missing")
for name, key in {
    "an empty secret": "whsec_",
    "an empty secret with padding": "whsec_====",
    "a secret that is not base64": "whsec_correct-horse",
    "an empty public key": "whpk_",
    "a weak public key": "whpk_" + b64(bytes(32)),
    "a private key": "whsk_" + b64(seed(ed)),
    "a public key in PEM": pem(ed),
    "a public key in base64": der(ed),
    "a public key of RSA in base64": der(first),
}.items():
    bad(f"Standard, {name}", STANDARD, [key], standard(sig), "unusable")

# A public key where a secret belongs: whoever knows it, which is anybody, could sign.
for name, key in {
    "PEM of RSA": pem(first), "base64 of RSA": der(first), "PKCS#1 of RSA": der(first, "pkcs1"),
    "PEM of Ed25519": pem(ed), "base64 of Ed25519": der(ed), "whpk_": "whpk_" + raw(ed),
}.items():
    tag = hmac.new(key.encode(), BODY, hashlib.sha256).hexdigest()
    bad(f"HMAC, {name}", HMAC, [key], one(tag), "unusable")
    bad(f"HMAC under {name}, where RSA is declared", RSA_HEX, [pem(first)], one(tag), "malformed")
    bad(f"HMAC, {name} beside a secret", HMAC, [key, "secret"], one(tag), "mismatch")
    bad(f"token, {name}", 'scheme = "token"\nheader = "X-Signature"\n', [key], one(key.replace("\n", " ")), "unusable")
empty = hmac.new(b"", BODY, hashlib.sha256).hexdigest()
bad("HMAC under an empty key", HMAC, ["secret", "", "  "], one(empty), "mismatch")

# What we sign with.
signs("RSA, PEM", RSA, pkcs8(first, "PEM").decode(), pem(first))
signs("RSA, base64", RSA_TIMED, b64(pkcs8(first, "DER")), der(first))
signs("RSA, hex, 4096 bits", RSA_HEX, pkcs8(large, "PEM").decode(), pem(large))
signs("PSS", PSS, pkcs8(odd, "PEM").decode(), pem(odd))
signs("Ed25519, PEM", ED25519, pkcs8(ed, "PEM").decode(), pem(ed))
signs("Ed25519, base64", ED25519_HEX, b64(pkcs8(ed, "DER")), raw(ed))
signs("Ed25519, whsk_", ED25519_TIMED, "whsk_" + b64(seed(ed)), raw(ed))
signs("Ed25519, whsk_ with the public key", ED25519, "whsk_" + b64(seed(ed) + public(ed, "Raw", "raw")), raw(ed))
signs("Standard, whsk_", STANDARD, "whsk_" + b64(seed(ed)), "whpk_" + raw(ed))
signs("Standard, whsec_", SVIX, SECRET, SECRET)
signs("Standard, no prefix", STANDARD, SECRET.removeprefix("whsec_"), SECRET)

print(json.dumps({"now": NOW, "proven": proven, "refused": refused, "private": private}, indent=1))
