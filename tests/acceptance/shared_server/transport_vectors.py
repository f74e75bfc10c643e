"""Requests as they should not be, byte for byte, and what the server does with each.

A row: the bytes, the status of the one answer (0: none), and whether the connection ends. It must end wherever
two readers could disagree about where the next request begins. MARK stands in each: no answer may repeat it.
"""

from __future__ import annotations

from typing import NamedTuple

MARK = "pl4ntedm4rk"
_FIELD = f"X-Mark: {MARK}"
# What a front server would take for a body, and a back server for the next request.
_SMUGGLED = f"GET /{MARK} HTTP/1.1\r\nHost: a\r\n\r\n"
_LAST = "0\r\n\r\n" + _SMUGGLED
_TWO = "Content-Length: 2"


class Vector(NamedTuple):
    """A row of the table."""

    sent: bytes
    status: int
    closes: bool = True


def _raw(*lines: str, body: str = "") -> bytes:
    return ("\r\n".join((*lines, "", "")) + body).encode("latin-1")


def _get(*fields: str, target: str = f"/{MARK}", version: str = "HTTP/1.1", host: str = "a") -> bytes:
    return _raw(f"GET {target} {version}", f"Host: {host}", *fields)


def _post(*fields: str, body: str = "", version: str = "HTTP/1.1") -> bytes:
    return _raw(
        f"POST /api/v2/auth/login {version}", "Host: a", "Content-Type: application/json", _FIELD, *fields,
        body=body,
    )  # fmt: skip


def _chunked(body: str, *fields: str) -> bytes:
    return _post("Transfer-Encoding: chunked", *fields, body=body)


VECTORS: dict[str, Vector] = {
    # -- where a body ends: two lengths, or none that all read alike
    "length and chunked": Vector(_chunked(_LAST, "Content-Length: 5"), 400),
    "chunked and length": Vector(_post("Content-Length: 5", "Transfer-Encoding: chunked", body=_LAST), 400),
    "two lengths that differ": Vector(_post("Content-Length: 5", "Content-Length: 6", body=_SMUGGLED), 400),
    "two lengths alike": Vector(_post("Content-Length: 5", "Content-Length: 5", body=_SMUGGLED), 400),
    "a list of lengths": Vector(_post("Content-Length: 5, 5", body=_SMUGGLED), 400),
    "a length with a sign": Vector(_post("Content-Length: +5", body=_SMUGGLED), 400),
    "a negative length": Vector(_post("Content-Length: -5", body=_SMUGGLED), 400),
    "a length in hexadecimal": Vector(_post("Content-Length: 0x5", body=_SMUGGLED), 400),
    "a length with an underscore": Vector(_post("Content-Length: 1_0", body=_SMUGGLED), 400),
    "a length with a fraction": Vector(_post("Content-Length: 5.0", body=_SMUGGLED), 400),
    "an empty length": Vector(_post("Content-Length: ", body=_SMUGGLED), 400),
    "a length with a space inside": Vector(_post("Content-Length: 1 0", body=_SMUGGLED), 400),
    "a length past 64 bits": Vector(_post(f"Content-Length: {2**64}", body=_SMUGGLED), 400),
    "a length of foreign digits": Vector(_post("Content-Length: \u00b2", body=_SMUGGLED), 400),
    "identity before chunked": Vector(_post("Transfer-Encoding: identity, chunked", body=_LAST), 400),
    "gzip before chunked": Vector(_post("Transfer-Encoding: gzip, chunked", body=_LAST), 400),
    "chunked not last": Vector(_post("Transfer-Encoding: chunked, identity", body=_LAST), 400),
    "chunked twice in one": Vector(_post("Transfer-Encoding: chunked, chunked", body=_LAST), 400),
    "chunked twice": Vector(_chunked(_LAST, "Transfer-Encoding: chunked"), 400),
    "identity alone": Vector(_post("Transfer-Encoding: identity", body=_SMUGGLED), 400),
    "an unknown coding": Vector(_post(f"Transfer-Encoding: {MARK}", body=_SMUGGLED), 400),
    "chunked in quotes": Vector(_post('Transfer-Encoding: "chunked"', body=_LAST), 400),
    "chunked with a vertical tab": Vector(_post("Transfer-Encoding: \x0bchunked", body=_LAST), 400),
    "chunked with a parameter": Vector(_post("Transfer-Encoding: chunked;a=b", body=_LAST), 400),
    "chunked in HTTP/1.0": Vector(_post("Transfer-Encoding: chunked", body=_LAST, version="HTTP/1.0"), 400),
    "chunked by a folded line": Vector(_post("Transfer-Encoding:\r\n chunked", body=_LAST), 400),
    # -- chunks
    "a chunk of size 0x": Vector(_chunked("0x2\r\n{}\r\n0\r\n\r\n"), 400),
    "a chunk of size with an underscore": Vector(_chunked("0_2\r\n{}\r\n0\r\n\r\n"), 400),
    "a chunk of size with a sign": Vector(_chunked("+2\r\n{}\r\n0\r\n\r\n"), 400),
    "a negative chunk": Vector(_chunked("-2\r\n{}\r\n0\r\n\r\n"), 400),
    "a chunk of no size": Vector(_chunked("\r\n{}\r\n0\r\n\r\n"), 400),
    "a chunk of no number": Vector(_chunked(f"{MARK}\r\n"), 400),
    "a chunk past 64 bits": Vector(_chunked("fffffffffffffffff\r\n{}\r\n0\r\n\r\n"), 400),
    "a space before the chunk's size": Vector(_chunked(" 2\r\n{}\r\n0\r\n\r\n"), 400),
    "a space behind the chunk's size": Vector(_chunked("2 \r\n{}\r\n0\r\n\r\n"), 400),
    "a bare LF behind the chunk's size": Vector(_chunked("2\n{}\r\n0\r\n\r\n"), 400),
    "a bare CR behind the chunk's size": Vector(_chunked("2\r{}\r\n0\r\n\r\n"), 400),
    "a chunk longer than it says": Vector(_chunked(f"2\r\n{{}}{MARK}\r\n0\r\n\r\n"), 400),
    "a chunk shorter than it says": Vector(_chunked("5\r\n{}\r\n0\r\n\r\n"), 400),
    "a bare LF behind a chunk": Vector(_chunked("2\r\n{}\n0\r\n\r\n"), 400),
    "a bare LF in a chunk's extension": Vector(_chunked(f"2;a={MARK}\n{{}}\r\n0\r\n\r\n"), 400),
    "a trailer with a NUL": Vector(_chunked("2\r\n{}\r\n0\r\nX: \x00\r\n\r\n"), 400),
    # -- the request line
    "no request at all": Vector(f"{MARK}\r\n\r\n".encode(), 400),
    "a TLS hello": Vector(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + MARK.encode() + b"\r\n\r\n", 400),
    "a preface of HTTP/2": Vector(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + MARK.encode(), 400),
    "an answer": Vector(f"HTTP/1.1 200 {MARK}\r\n\r\n".encode(), 400),
    "no version": Vector(_raw(f"GET /{MARK}", "Host: a"), 400),
    "a version of no number": Vector(_get(version="HTTP/x.y"), 400),
    "version 0.9": Vector(_get(version="HTTP/0.9"), 400),
    "version 1.2": Vector(_get(version="HTTP/1.2"), 400),
    "version 2.0": Vector(_get(version="HTTP/2.0"), 400),
    "version 3.0": Vector(_get(version="HTTP/3.0"), 400),
    "the version in small letters": Vector(_get(version="http/1.1"), 400),
    "a space behind the version": Vector(_get(version="HTTP/1.1 "), 400),
    "a method in small letters": Vector(_raw(f"get /{MARK} HTTP/1.1", "Host: a"), 400),
    "an unknown method": Vector(_raw(f"BREW /{MARK} HTTP/1.1", "Host: a"), 400),
    "a method with a NUL": Vector(_raw(f"GE\x00T /{MARK} HTTP/1.1", "Host: a"), 400),
    "a tab for a space": Vector(_raw(f"GET\t/{MARK}\tHTTP/1.1", "Host: a"), 400),
    "a bare LF behind the request line": Vector(f"GET /{MARK} HTTP/1.1\nHost: a\r\n\r\n".encode(), 400),
    "bare LFs": Vector(f"GET /{MARK} HTTP/1.1\nHost: a\n\n".encode(), 400),
    # -- the target
    "a target of 4097 bytes": Vector(_get(target="/" + MARK + "x" * (4096 - len(MARK))), 414),
    "a target of 60,000 bytes": Vector(_get(target=f"/{MARK}?" + "x" * 60_000), 414),
    "a target with a space": Vector(_get(target=f"/a {MARK}"), 400),
    "a target with a NUL": Vector(_get(target=f"/\x00{MARK}"), 400),
    "a target with bytes beyond ASCII": Vector(_get(target=f"/\xff\xfe{MARK}"), 400),
    "a target with a fragment": Vector(_get(target=f"/api/v2/me#{MARK}"), 400),
    "a target without a slash": Vector(_get(target=MARK), 400),
    "an empty target": Vector(_raw("GET  HTTP/1.1", "Host: a", _FIELD), 400),
    "a target for somebody else": Vector(_get(target=f"http://{MARK}/api/v2/me"), 400),
    "a target of another scheme": Vector(_get(target=f"ftp://a/{MARK}"), 400),
    "a target with a user": Vector(_get(target=f"http://{MARK}@a/api/v2/me"), 400),
    "a target without an authority": Vector(_get(target=f"http:///{MARK}"), 400),
    "an asterisk": Vector(_raw("OPTIONS * HTTP/1.1", "Host: a", _FIELD), 400),
    "a tunnel": Vector(_raw(f"CONNECT {MARK}:443 HTTP/1.1", f"Host: {MARK}:443"), 400),
    # -- headers
    "no Host": Vector(_raw(f"GET /{MARK} HTTP/1.1"), 400),
    "two Hosts": Vector(_get("Host: b"), 400),
    "two Hosts alike": Vector(_get("Host: a"), 400),
    "a Host with a path": Vector(_get(host=f"a/{MARK}"), 400),
    "a Host with a user": Vector(_get(host=f"{MARK}@a"), 400),
    "a Host with a space": Vector(_get(host=f"a {MARK}"), 400),
    "a list of Hosts": Vector(_get(host=f"a, {MARK}:x"), 400),
    "a value of 8193 bytes": Vector(_get("X: " + MARK + "x" * (8193 - len(MARK))), 431),
    "a header of 60,000 bytes": Vector(_get("X: " + MARK + "x" * 60_000), 431),
    "a name of 9,000 bytes": Vector(_get(MARK + "x" * 9_000 + ": 1"), 431),
    "65 headers": Vector(_get(*[_FIELD] * 64), 431),
    "1,000 headers": Vector(_get(*[_FIELD] * 1000), 431),
    "a folded line": Vector(_get(_FIELD, f" {MARK}"), 400),
    "a line folded by a tab": Vector(_get(_FIELD, f"\t{MARK}"), 400),
    "a space before the first name": Vector(_raw(f"GET /{MARK} HTTP/1.1", " Host: a"), 400),
    "a space before the colon": Vector(_get(f"X-Mark : {MARK}"), 400),
    "a length with a space before the colon": Vector(_post("Content-Length : 5", body=_SMUGGLED), 400),
    "no colon": Vector(_get(MARK), 400),
    "no name": Vector(_get(f": {MARK}"), 400),
    "a name with a NUL": Vector(_get(f"X\x00: {MARK}"), 400),
    "a name beyond ASCII": Vector(_get(f"X\xff: {MARK}"), 400),
    "a name in brackets": Vector(_get(f"[X]: {MARK}"), 400),
    "a value with a NUL": Vector(_get(f"X: \x00{MARK}"), 400),
    "a value with a bare CR": Vector(_get(f"X: a\r{MARK}"), 400),
    "a value with a bare LF": Vector(_get(f"X: a\n{MARK}: b"), 400),
    "a value with a bell": Vector(_get(f"X: a\x07{MARK}"), 400),
    "a key of the old WebSocket": Vector(_get(f"Sec-WebSocket-Key1: {MARK}"), 400),
    "two kinds of content": Vector(_post("Content-Type: text/plain", _TWO, body="{}"), 400),
    # -- what is HTTP, but not for us; the connection goes on
    "a foreign encoding": Vector(_post("Content-Encoding: gzip", _TWO, body="{}"), 415, False),
    "an encoding that is none": Vector(_post("Content-Encoding: identity", _TWO, body="{}"), 415, False),
    "an unknown encoding": Vector(_post(f"Content-Encoding: {MARK}", _TWO, body="{}"), 415, False),
    "an encoding twice": Vector(_post("Content-Encoding: gzip, gzip", _TWO, body="{}"), 415, False),
    "a body on a read": Vector(_raw("GET /health/liveness HTTP/1.1", "Host: a", _FIELD, _TWO, body="{}"), 400, False),
    "a body that is no JSON": Vector(_post(f"Content-Length: {len(MARK)}", body=MARK), 400, False),
    "an unknown query": Vector(_get(target=f"/health/liveness?{MARK}=1"), 422, False),
    "an upgrade to something unknown": Vector(_get("Connection: upgrade", f"Upgrade: {MARK}"), 404),
    "an upgrade to HTTP/2": Vector(_get("Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: "), 404),
    "a target of 4096 bytes": Vector(_get(target="/" + MARK + "x" * (4095 - len(MARK))), 404, False),
    "a header of 8192 bytes": Vector(_get("X: " + MARK + "x" * (8191 - len(MARK))), 404, False),
    "64 headers": Vector(_get(*[_FIELD] * 63), 404, False),
    "a target for us with our name": Vector(_get(target=f"http://a/{MARK}"), 404, False),
    "an unknown expectation": Vector(_get(f"Expect: {MARK}"), 417),
    "a body too large, announced": Vector(_post("Expect: 100-continue", "Content-Length: 65537"), 413),
}  # fmt: skip
