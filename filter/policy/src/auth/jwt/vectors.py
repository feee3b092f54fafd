#!/usr/bin/env python3
"""Makes vectors.json: keys, and tokens signed with them by OpenSSL, through Python's cryptography (48).

Keys are new each time, and nobody keeps the private ones.
"""

import base64
import hashlib
import hmac
import json

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
# A token of these holds at noon of 2026-11-26, and ends an hour later.
CLAIMS = {"iss": "https://issuer.example", "sub": "alice", "aud": "shop", "exp": 1795694400 + 3600}

KEYS = {f"rsa{bits}": rsa.generate_private_key(65537, bits) for bits in (2048, 2049, 2056, 3072, 4096)}
KEYS["rsa2048e3"] = rsa.generate_private_key(3, 2048)
KEYS["rsa1024"] = rsa.generate_private_key(65537, 1024)
KEYS["rsa4104"] = rsa.generate_private_key(65537, 4104)
KEYS["p256"] = ec.generate_private_key(ec.SECP256R1())
KEYS["p384"] = ec.generate_private_key(ec.SECP384R1())
KEYS["p521"] = ec.generate_private_key(ec.SECP521R1())
KEYS["k256"] = ec.generate_private_key(ec.SECP256K1())
KEYS["ed25519"] = ed25519.Ed25519PrivateKey.generate()


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def spki(name):
    public = KEYS[name].public_key()
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def pss(digest, salt, mgf=None):
    return lambda key, text: key.sign(text, padding.PSS(padding.MGF1(mgf or digest), salt), digest)


def sign(alg, key, text):
    """The signature as a token has it, and as the host is to be asked."""
    if alg == "EdDSA":
        return key.sign(text), None
    digest = HASHES[alg[2:]]
    if alg.startswith("RS"):
        signature = key.sign(text, padding.PKCS1v15(), digest)
        return signature, signature
    if alg.startswith("PS"):
        return pss(digest, digest.digest_size)(key, text), None
    asn1 = key.sign(text, ec.ECDSA(digest))
    return raw(key, asn1), asn1


def raw(key, asn1):
    size = (key.curve.key_size + 7) // 8
    return b"".join(number.to_bytes(size, "big") for number in utils.decode_dss_signature(asn1))


def signing_input(alg):
    header = {"alg": alg, "typ": "JWT"}
    return f"{b64url(json.dumps(header).encode())}.{b64url(json.dumps(CLAIMS).encode())}"


def good(alg, name, until=lambda signature: True):
    text = signing_input(alg)
    while True:
        signature, host = sign(alg, KEYS[name], text.encode())
        if until(signature):
            break
    token = {"alg": alg, "key": name, "token": f"{text}.{b64url(signature)}"}
    return token | ({"host": base64.b64encode(host).decode()} if host else {})


def bad(what, alg, name, signer):
    text = signing_input(alg)
    return {"what": what, "alg": alg, "key": name, "token": f"{text}.{b64url(signer(KEYS[name], text.encode()))}"}


def hs256(secret):
    return lambda key, text: hmac.new(secret, text, hashlib.sha256).digest()


def pem(name):
    return KEYS[name].public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


SHA256, SHA384 = HASHES["256"], HASHES["384"]
GOOD = [good(f"{family}{size}", "rsa2048") for family in ("RS", "PS") for size in HASHES]
GOOD += [good("PS256", name) for name in ("rsa2049", "rsa2056", "rsa3072", "rsa2048e3")]
GOOD += [good("PS512", "rsa4096"), good("RS256", "rsa4096")]
GOOD += [good("ES256", "p256"), good("ES384", "p384"), good("ES512", "p521"), good("EdDSA", "ed25519")]
# Numbers that are shorter than others.
GOOD += [good("ES256", "p256", lambda s: s[0] == 0), good("ES256", "p256", lambda s: s[32] == 0)]

BAD = [
    bad("PSS with no salt", "PS256", "rsa2048", pss(SHA256, 0)),
    bad("PSS with a salt of 20 bytes", "PS256", "rsa2048", pss(SHA256, 20)),
    bad("PSS with the longest salt", "PS256", "rsa2048", pss(SHA256, padding.PSS.MAX_LENGTH)),
    bad("PSS with another mask", "PS256", "rsa2048", pss(SHA256, 32, hashes.SHA1())),
    bad("PSS with another hash", "PS256", "rsa2048", pss(SHA384, 48)),
    bad("PKCS #1 v1.5 as PSS", "PS256", "rsa2048", lambda k, t: k.sign(t, padding.PKCS1v15(), SHA256)),
    bad("PSS by another key", "PS256", "rsa3072", lambda _, t: sign("PS256", KEYS["rsa2048"], t)[0]),
    bad("ECDSA in ASN.1", "ES256", "p256", lambda k, t: k.sign(t, ec.ECDSA(SHA256))),
    bad("HMAC by the key", "HS256", "rsa2048", hs256(spki("rsa2048"))),
    bad("HMAC by the key in PEM", "HS256", "rsa2048", hs256(pem("rsa2048"))),
    bad("no signature", "none", "rsa2048", lambda k, t: b""),
    bad("a signature of nothing", "none", "rsa2048", lambda k, t: sign("RS256", k, t)[0]),
]

keys = {name: base64.b64encode(spki(name)).decode() for name in KEYS}
print(json.dumps({"keys": keys, "good": GOOD, "bad": BAD}, indent=1))
