"""AWS's words on the wire. In: requests as they come. Out: who asks what, whether the signature is right, and errors as
EC2, the token service and the JSON services word them.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from tests.clouds.proxy import Reply, Seen

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15"
ElementTree.register_namespace("", NAMESPACE)
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]*)/(\d{8})/([^/]*)/([^/]*)/aws4_request, ?"
    r"SignedHeaders=([^,]*), ?Signature=(\w+)"
)


@dataclass(frozen=True)
class Call:
    """Who asks what: ``parameters`` of the query services, ``document`` of those that speak JSON."""

    service: str
    region: str
    operation: str
    key: str
    parameters: dict[str, str]
    document: dict[str, object]

    @property
    def changes(self) -> bool:
        """Whether it creates or changes something."""
        return not self.operation.startswith(("Describe", "Get", "List", "Assume"))

    def values(self, prefix: str) -> list[str]:
        """The values of a list: InstanceId.1, InstanceId.2 …"""
        return [value for name, value in self.parameters.items() if re.fullmatch(rf"{prefix}\.\d+", name)]


def call_of(seen: Seen) -> Call:
    found = AUTHORIZATION.match(seen.headers.get("Authorization", ""))
    key, _, region, service = found.groups()[:4] if found else ("", "", "", "")
    target = seen.headers.get("X-Amz-Target", "")
    if target:
        return Call(service, region, target.rpartition(".")[2], key, {}, json.loads(seen.body or b"{}"))
    parameters = dict(parse_qsl(seen.body.decode(), keep_blank_values=True))
    return Call(service, region, parameters.get("Action", ""), key, parameters, {})


def signed_with(seen: Seen, secret: str) -> bool:
    """Whether the request's signature (version 4) was made with this secret."""
    found = AUTHORIZATION.match(seen.headers.get("Authorization", ""))
    if found is None:
        return False
    _, day, region, service, names, signature = found.groups()
    headers = "".join(f"{name}:{' '.join(seen.headers.get(name, '').split())}\n" for name in names.split(";"))
    digest = hashlib.sha256(seen.body).hexdigest()
    canonical = "\n".join((seen.method, seen.path, seen.query, headers, names, digest))
    scope = f"{day}/{region}/{service}/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(("AWS4-HMAC-SHA256", seen.headers.get("X-Amz-Date", ""), scope, hashed))
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), signature)


def refusal(call: Call, code: str, message: str, status: int = 400, headers: Mapping[str, str] | None = None) -> Reply:
    """An error as the service that was asked words it."""
    more = dict(headers or {})
    if call.service == "ec2":
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error>'
            f"<Code>{code}</Code><Message>{escape(message)}</Message></Error></Errors>"
            "<RequestID>5bb2a1c8-2f27-4a1f-9a1e-000000000000</RequestID></Response>"
        )
        return Reply(status, body.encode(), {"Content-Type": "text/xml;charset=UTF-8", **more})
    if call.service == "sts":
        body = (
            '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
            f"<Code>{code}</Code><Message>{escape(message)}</Message></Error>"
            "<RequestId>5bb2a1c8-2f27-4a1f-9a1e-000000000000</RequestId></ErrorResponse>"
        )
        return Reply(status, body.encode(), {"Content-Type": "text/xml", **more})
    document = {"__type": code, "message": message}
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/x-amz-json-1.1", **more})


def tree(reply: Reply) -> ElementTree.Element:
    return ElementTree.fromstring(reply.body)


def with_tree(reply: Reply, root: ElementTree.Element) -> Reply:
    """The answer with another document."""
    return Reply(reply.status, ElementTree.tostring(root, encoding="UTF-8"), reply.headers)


def tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def instances(root: ElementTree.Element) -> list[ElementTree.Element]:
    """The instances of an answer."""
    return [item for listed in root.iter(tag("instancesSet")) for item in listed]


def text(item: ElementTree.Element, *path: str) -> str:
    """The text at a path below ``item``, "" if there is none."""
    return item.findtext("/".join(tag(name) for name in path), "")
