#!/usr/bin/env python3
"""Makes vectors.json: messages of Envoy's services as the PyPI package envoy-data-plane encodes them, in hexadecimal."""

import datetime
import json

from envoy_data_plane.envoy.config.core.v3 import Address, HeaderValue, HeaderValueOption, SocketAddress
from envoy_data_plane.envoy.config.core.v3 import HeaderValueOptionHeaderAppendAction as Action
from envoy_data_plane.envoy.extensions.common.ratelimit.v3 import RateLimitDescriptor, RateLimitDescriptorEntry
from envoy_data_plane.envoy.service.auth.v3 import (
    AttributeContext,
    AttributeContextHttpRequest,
    AttributeContextPeer,
    AttributeContextRequest,
    CheckRequest,
    CheckResponse,
    DeniedHttpResponse,
    OkHttpResponse,
)
from envoy_data_plane.envoy.service.ratelimit.v3 import (
    RateLimitRequest,
    RateLimitResponse,
    RateLimitResponseCode,
    RateLimitResponseDescriptorStatus,
    RateLimitResponseRateLimit,
    RateLimitResponseRateLimitUnit,
)
from envoy_data_plane.envoy.type.v3 import HttpStatus, StatusCode
from envoy_data_plane.google.rpc import Status


def value(key, text):
    return HeaderValue(key=key, value=text)


def option(key, text, **how):
    return HeaderValueOption(header=value(key, text), **how)


def denied(code=None, **fields):
    status = HttpStatus(code=StatusCode(code)) if code else None
    return DeniedHttpResponse(status=status, **fields)


def status(code, limit, remaining, reset):
    return RateLimitResponseDescriptorStatus(
        code=code,
        current_limit=RateLimitResponseRateLimit(
            name="a limit", requests_per_unit=limit, unit=RateLimitResponseRateLimitUnit.MINUTE
        ),
        limit_remaining=remaining,
        duration_until_reset=datetime.timedelta(seconds=reset),
    )


OK, PERMISSION_DENIED, UNAUTHENTICATED = Status(code=0), Status(code=7, message="no"), Status(code=16)
EDITS = OkHttpResponse(
    headers=[
        option("X-User", "alice"),
        option("x-replaced", "new", append=False),
        option("x-added", "more", append=True),
        option("x-absent", "a", append_action=Action.ADD_IF_ABSENT),
        option("x-there", "b", append_action=Action.ADD_IF_ABSENT),
        option("x-absent-too", "c", append_action=Action.OVERWRITE_IF_EXISTS),
        option("x-there-too", "d", append_action=Action.OVERWRITE_IF_EXISTS),
        option("x-any", "e", append_action=Action.OVERWRITE_IF_EXISTS_OR_ADD),
        HeaderValueOption(header=HeaderValue(key="x-raw", raw_value=b"raw")),
        option("x-split", "a\r\nx-admin: yes"),
        option("host", "evil"),
        option(":path", "/admin"),
        option("x-switchyard-route", "evil"),
        option("x-envoy-upstream-rq-timeout-ms", "0"),
        option("transfer-encoding", "chunked"),
    ],
    headers_to_remove=["Authorization", "host", ":authority", "x-switchyard-cluster"],
    response_headers_to_add=[option("set-cookie", "s=1", append=True), option("x-answer", "y"), option("content-length", "0")],
)

MESSAGES = {
    "check request": CheckRequest(
        attributes=AttributeContext(
            source=AttributeContextPeer(
                address=Address(socket_address=SocketAddress(address="192.0.2.7", port_value=0))
            ),
            request=AttributeContextRequest(
                time=datetime.datetime.fromtimestamp(1795694400, datetime.timezone.utc),
                http=AttributeContextHttpRequest(
                    id="an id",
                    method="POST",
                    headers={
                        ":authority": "bar.com",
                        ":method": "POST",
                        ":path": "/a?b=c",
                        "authorization": "Bearer x",
                        "cookie": "a=1; b=2",
                    },
                    path="/a?b=c",
                    host="bar.com",
                    scheme="https",
                    size=12,
                ),
            ),
        )
    ),
    "check request of nobody": CheckRequest(
        attributes=AttributeContext(
            source=AttributeContextPeer(),
            request=AttributeContextRequest(
                time=datetime.datetime.fromtimestamp(1795694400, datetime.timezone.utc),
                http=AttributeContextHttpRequest(
                    method="GET", headers={":method": "GET"}, path="/", scheme="http", size=-1
                ),
            ),
        )
    ),
    "ok": CheckResponse(status=OK),
    "ok with edits": CheckResponse(status=OK, ok_response=EDITS),
    "edits alone": CheckResponse(ok_response=OkHttpResponse(headers=[option("x-user", "alice")])),
    "nothing at all": CheckResponse(),
    "ok and denied": CheckResponse(status=OK, denied_response=denied(401)),
    "denied": CheckResponse(status=PERMISSION_DENIED),
    "denied and edits": CheckResponse(status=UNAUTHENTICATED, ok_response=EDITS),
    "denied without a status": CheckResponse(denied_response=denied()),
    "denied in words": CheckResponse(
        status=UNAUTHENTICATED,
        denied_response=denied(
            401,
            headers=[option("WWW-Authenticate", "Bearer"), option("set-cookie", "a=1"), option("content-length", "9")],
            body="go away",
        ),
    ),
    "redirected": CheckResponse(
        status=UNAUTHENTICATED, denied_response=denied(302, headers=[option("location", "https://login.example/")])
    ),
    "denied with an odd status": CheckResponse(status=UNAUTHENTICATED, denied_response=denied(100)),
    "an error": CheckResponse(status=PERMISSION_DENIED, error_response=denied(500)),
    "rate limit request": RateLimitRequest(
        domain="shop",
        descriptors=[
            RateLimitDescriptor(
                entries=[
                    RateLimitDescriptorEntry(key="remote_address", value="192.0.2.7"),
                    RateLimitDescriptorEntry(key="path", value="/a"),
                ]
            ),
            RateLimitDescriptor(entries=[RateLimitDescriptorEntry(key="all", value="")]),
        ],
    ),
    "within": RateLimitResponse(
        overall_code=RateLimitResponseCode.OK,
        statuses=[
            status(RateLimitResponseCode.OK, 100, 42, 17),
            RateLimitResponseDescriptorStatus(code=RateLimitResponseCode.OK),
            status(RateLimitResponseCode.OK, 10, 7, 3),
        ],
        response_headers_to_add=[value("X-Limited-By", "shop"), value("x-envoy-ratelimited", "no")],
        request_headers_to_add=[value("x-quota", "7"), value("host", "evil")],
    ),
    "over": RateLimitResponse(
        overall_code=RateLimitResponseCode.OVER_LIMIT,
        statuses=[status(RateLimitResponseCode.OVER_LIMIT, 10, 0, 3)],
        raw_body=b"slowly",
    ),
    "unknown": RateLimitResponse(statuses=[status(RateLimitResponseCode.OK, 10, 7, 3)]),
}

print(json.dumps({name: bytes(message).hex() for name, message in MESSAGES.items()}, indent=1))
