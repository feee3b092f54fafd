#!/usr/bin/env python3
"""Drops exports of a wasm module that are not named, and gives others a name that was dropped.

The SDK exports every callback that there is, and Envoy calls each that is exported, several times a request: entering
the VM costs, also where nothing is then done. Where the filter has a callback of its own, it takes the place of the
SDK's.

usage: wasm-exports.py IN OUT (EXPORT | NEW_NAME=EXPORT)...
"""

import sys

EXPORT_SECTION = 7


def main():
    source, target, *kept = sys.argv[1:]
    with open(source, "rb") as file:
        module = file.read()
    with open(target, "wb") as file:
        file.write(module[:8])
        for number, body in sections(module):
            if number == EXPORT_SECTION:
                body = keep(body, dict(map(names, kept)))
            file.write(bytes([number]) + encode(len(body)) + body)


def sections(module):
    at = 8
    while at < len(module):
        number = module[at]
        length, start = decode(module, at + 1)
        at = start + length
        yield number, module[start:at]


def names(argument):
    """What an export is called, and what it is to be called."""
    new, _, old = argument.rpartition("=")
    return old.encode(), (new or old).encode()


def keep(body, names):
    count, at = decode(body, 0)
    exports = {}
    for _ in range(count):
        length, start = decode(body, at)
        kind = start + length
        # One byte says of which kind it is.
        _, at = decode(body, kind + 1)
        exports[body[start:kind]] = body[kind:at]
    missing = names.keys() - exports.keys()
    if missing:
        sys.exit(f"wasm-exports.py: not exported: {b', '.join(sorted(missing)).decode()}")
    kept = [encode(len(new)) + new + exports[old] for old, new in names.items()]
    return encode(len(kept)) + b"".join(kept)


def decode(data, at):
    """An unsigned LEB128 number, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def encode(value):
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


main()
