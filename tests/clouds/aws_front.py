"""What moto's EC2 lacks, before its server. In: signed requests at ``url``. Out: answers as AWS would give them.

It checks signatures; honours ClientToken; lets VMs take time to come, stop and go; refuses what the state of a VM, or
what depends on it, forbids; keeps roles; and stands in for the price list and EC2's quotas, which moto does not have.
"""

import asyncio
import base64
import socket
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlencode
from xml.etree.ElementTree import Element

import aiohttp
from aiohttp import web
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from multidict import CIMultiDict
from yarl import URL

from tests.clouds.aws_documents import price_page, quota
from tests.clouds.aws_words import Call, call_of, instances, refusal, signed_with, tag, text, tree, with_tree
from tests.clouds.proxy import HOP, Reply, Seen

GOOD_KEY, GOOD_SECRET = "AKIAMCISDSUITE000001", "suite/secret/key/0123456789abcdefghijklm"
METADATA_KEY, METADATA_SECRET = "test-key", "test-secret-key"
ROLE, EXTERNAL_ID = "arn:aws:iam::123456789012:role/mcisd-suite", "suite-42"
DISABLED = "ap-east-1"
REGIONS = ("ap-northeast-2", "us-east-1", "eu-central-1", DISABLED)
"""Those that there are; the last is not enabled for the account."""
MOMENT = 0.08
"""Seconds that each change of state takes."""
PAGE = 20
"""Types at a time; AWS gives a hundred of its eight hundred."""
CODES = {"pending": "0", "running": "16", "shutting-down": "32", "terminated": "48", "stopping": "64", "stopped": "80"}
CHANGES = {"RunInstances": "pending", "StartInstances": "pending", "StopInstances": "stopping",
           "TerminateInstances": "shutting-down"}  # fmt: skip
BEGAN = {
    "StartInstances": ("stopped",),
    "StopInstances": ("running",),
    "TerminateInstances": ("pending", "running", "stopping", "stopped"),
}
"""States from which a request changes something."""
ALLOWED = {
    "StartInstances": ("stopped", "running", "pending"),
    "StopInstances": ("running", "stopped", "stopping"),
    "RebootInstances": ("running",),
}


@dataclass
class Launch:
    """What a client token was used for."""

    body: bytes
    reply: Reply
    vm_id: str


@dataclass
class AwsFront:
    """``async with AwsFront(moto_url)`` starts and stops it."""

    target: str
    url: str = ""
    keys: dict[str, str] = field(default_factory=lambda: {GOOD_KEY: GOOD_SECRET, METADATA_KEY: METADATA_SECRET})
    roles: dict[str, str] = field(default_factory=lambda: {ROLE: EXTERNAL_ID})
    launches: dict[tuple[str, str], Launch] = field(default_factory=dict)
    moving: dict[str, tuple[float, str]] = field(default_factory=dict)
    sleepers: set[str] = field(default_factory=set)
    families: tuple[str, ...] = ("t3.*", "t4g.*", "m5.*", "m6g.*", "g4dn.*", "p4d.*", "mac1.*")

    async def __aenter__(self) -> Self:
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._catalogue = Reply(0)
        self._client = aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(total=120))
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0, access_log=None)
        await self._runner.setup()
        sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        await web.SockSite(self._runner, sock).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def moto(self, operation: str, region: str, **parameters: str) -> Reply:
        """Ask moto's EC2 directly, as a console of its own would."""
        scope = (
            f"AWS4-HMAC-SHA256 Credential=AKIACONSOLE/20260101/{region}/ec2/aws4_request, SignedHeaders=h, Signature=0"
        )
        body = urlencode({"Action": operation, "Version": "2016-11-15", **parameters}).encode()
        headers = {"Authorization": scope, "Content-Type": "application/x-www-form-urlencoded"}
        return await self._forward(Seen("POST", "/", "", CIMultiDict(headers), body))

    async def reset(self) -> None:
        """Let moto forget all; it becomes slow with what it keeps."""
        async with self._client.post(f"{self.target}/moto-api/reset") as answer:
            assert answer.status == 200

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        seen = Seen(request.method, request.path, request.rel_url.raw_query_string, CIMultiDict(request.headers), body)
        if seen.path.startswith("/latest/"):  # the metadata service of a machine
            reply = await self._forward(seen)
        else:
            call = call_of(seen)
            reply = self._stranger(seen, call) or self._nowhere(call) or await self._serve(seen, call)
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)

    def _stranger(self, seen: Seen, call: Call) -> Reply | None:
        """The refusal of a key or signature that is wrong."""
        secret = self.keys.get(call.key)
        if secret is not None and signed_with(seen, secret):
            return None
        if call.service == "ec2":
            said = "AWS was not able to validate the provided access credentials"
            return refusal(call, "AuthFailure", said, 401)
        if secret is None:
            code = "InvalidClientTokenId" if call.service == "sts" else "UnrecognizedClientException"
            return refusal(call, code, "The security token included in the request is invalid.", 403)
        code = "SignatureDoesNotMatch" if call.service == "sts" else "InvalidSignatureException"
        return refusal(call, code, "The request signature we calculated does not match the one you provided.", 403)

    def _nowhere(self, call: Call) -> Reply | None:
        """The refusal of a region that there is not: its name is part of what was signed."""
        if call.region in REGIONS:
            return None
        code = "AuthFailure" if call.service == "ec2" else "SignatureDoesNotMatch"
        return refusal(call, code, "Credential should be scoped to a valid region.", 403)

    async def _serve(self, seen: Seen, call: Call) -> Reply:
        match call.service, call.operation:
            case "pricing", "GetProducts":
                return price_page(call)
            case "servicequotas", "GetServiceQuota":
                return quota(call) or await self._forward(seen)
            case "sts", "AssumeRole":
                return await self._assume(seen, call)
            case "ec2", "RunInstances":
                async with self._turns[call.parameters.get("ClientToken", "")]:
                    return await self._run(seen, call)
            case "ec2", "StartInstances" | "StopInstances" | "RebootInstances" | "TerminateInstances":
                return await self._change(seen, call)
            case "ec2", "DescribeInstances":
                return self._shown(await self._forward(seen))
            case "ec2", "DescribeInstanceTypes":
                return self._paged(call, await self._types(seen, call))
            case "ec2", "ImportKeyPair" | "CreateSecurityGroup":
                return await self._misfit(call) or await self._forward(seen)
            case "ec2", "DeleteSubnet" | "DeleteVpc" | "DetachInternetGateway" | "DeleteSecurityGroup":
                return await self._needed(call) or await self._forward(seen)
            case _:
                return await self._forward(seen)

    async def _assume(self, seen: Seen, call: Call) -> Reply:
        wanted = self.roles.get(call.parameters.get("RoleArn", ""))
        if wanted is None or call.parameters.get("ExternalId", "") != wanted:
            said = "User: arn:aws:iam::123456789012:user/suite is not authorized to perform: sts:AssumeRole"
            return refusal(call, "AccessDenied", said, 403)
        reply = await self._forward(seen)
        found = {item.tag.rpartition("}")[2]: item.text or "" for item in tree(reply).iter()}
        self.keys[found["AccessKeyId"]] = found["SecretAccessKey"]
        return reply

    async def _run(self, seen: Seen, call: Call) -> Reply:
        token = call.region, call.parameters.get("ClientToken", "")
        body = seen.body
        known = self.launches.get(token) if token[1] else None
        if known is not None:
            if await self._state(call.region, known.vm_id) in ("shutting-down", "terminated"):
                return refusal(call, "IdempotentInstanceTerminated", "The client token is of a terminated instance.")
            if known.body != body:
                return refusal(call, "IdempotentParameterMismatch", "Arguments on this idempotent request differ.")
            return known.reply
        reply = await self._forward(seen)
        if reply.status != 200 or call.parameters.get("DryRun") == "true":
            return reply
        item = instances(tree(reply))[0]
        vm_id = text(item, "instanceId")
        self._move(vm_id, "pending")
        if call.parameters.get("HibernationOptions.Configured") == "true":
            self.sleepers.add(vm_id)
        await self._tag_cards(call, item)
        self.launches[token] = Launch(body, reply, vm_id)
        return reply

    async def _tag_cards(self, call: Call, item: Element) -> None:
        """moto leaves out the tags of network cards."""
        specs = {name: value for name, value in call.parameters.items() if value == "network-interface"}
        card = text(item, "networkInterfaceSet", "item", "networkInterfaceId")
        for name in specs:
            prefix = name.removesuffix("ResourceType")
            given = {k.removeprefix(prefix): v for k, v in call.parameters.items() if k.startswith(f"{prefix}Tag.")}
            await self.moto("CreateTags", call.region, **{"ResourceId.1": card}, **given)

    async def _change(self, seen: Seen, call: Call) -> Reply:
        allowed, began = ALLOWED.get(call.operation), BEGAN.get(call.operation, ())
        states = {vm_id: await self._state(call.region, vm_id) for vm_id in call.values("InstanceId")}
        for vm_id, state in states.items():
            if state and allowed and state not in allowed:
                said = f"The instance '{vm_id}' is not in a state from which it can be changed so: {state}."
                return refusal(call, "IncorrectInstanceState", said)
            if call.parameters.get("Hibernate") == "true" and vm_id not in self.sleepers:
                said = "The instance is not configured for hibernation."
                return refusal(call, "UnsupportedHibernationConfiguration", said)
        reply = await self._forward(seen)
        if reply.status == 200 and call.operation in CHANGES:
            for vm_id, state in states.items():
                if state in began:
                    self._move(vm_id, CHANGES[call.operation])
        return reply

    def _move(self, vm_id: str, state: str) -> None:
        self.moving[vm_id] = time.monotonic() + MOMENT, state

    async def _state(self, region: str, vm_id: str) -> str:
        """The state of a VM as it is shown; "" if there is none."""
        reply = await self.moto("DescribeInstances", region, **{"InstanceId.1": vm_id})
        if reply.status != 200:
            return ""
        return text(instances(tree(self._shown(reply)))[0], "instanceState", "name")

    def _shown(self, reply: Reply) -> Reply:
        """The answer with VMs in the states in which they still are; a VM that comes has no public address yet."""
        if reply.status != 200 or not self.moving:
            return reply
        root = tree(reply)
        for item in instances(root):
            until, state = self.moving.get(text(item, "instanceId"), (0.0, ""))
            told = item.find(tag("instanceState"))
            if until <= time.monotonic() or told is None or text(told, "name") == state:
                continue
            for name, value in (("code", CODES[state]), ("name", state)):
                part = told.find(tag(name))
                assert part is not None
                part.text = value
            address = item.find(tag("ipAddress"))
            if state == "pending" and address is not None:
                item.remove(address)
        return with_tree(reply, root)

    async def _types(self, seen: Seen, call: Call) -> Reply:
        """moto takes ten seconds to tell all of its types: where all are asked for, these families are."""
        if call.values("InstanceType"):
            return await self._forward(seen)
        if not self._catalogue.status:
            values = {f"Filter.1.Value.{number}": name for number, name in enumerate(self.families, 1)}
            self._catalogue = await self.moto(
                "DescribeInstanceTypes", call.region, **{"Filter.1.Name": "instance-type", **values}
            )
        return self._catalogue

    async def _misfit(self, call: Call) -> Reply | None:
        """The refusal of what moto takes, or falls over."""
        if call.operation == "ImportKeyPair":
            try:
                load_ssh_public_key(base64.b64decode(call.parameters.get("PublicKeyMaterial", "")))
            except (ValueError, UnsupportedAlgorithm):
                return refusal(call, "InvalidKey.Format", "Key is not in valid OpenSSH public key format")
            return None
        network = call.parameters.get("VpcId", "")
        if (await self.moto("DescribeVpcs", call.region, **{"VpcId.1": network})).status != 200:
            return refusal(call, "InvalidVpcID.NotFound", f"The vpc ID '{network}' does not exist")
        return None

    def _paged(self, call: Call, reply: Reply) -> Reply:
        """moto gives all types at once."""
        if reply.status != 200 or "MaxResults" not in call.parameters:
            return reply
        root = tree(reply)
        listed = root.find(tag("instanceTypeSet"))
        assert listed is not None
        start, size = int(call.parameters.get("NextToken", "0")), min(PAGE, int(call.parameters["MaxResults"]))
        items = list(listed)
        for item in items[:start] + items[start + size :]:
            listed.remove(item)
        if start + size < len(items):
            token = root.makeelement(tag("nextToken"), {})
            token.text = str(start + size)
            root.append(token)
        return with_tree(reply, root)

    async def _needed(self, call: Call) -> Reply | None:
        """The refusal of a deletion of what others need; moto allows these."""
        if call.parameters.get("DryRun") == "true":
            return None
        wanted = {
            "DeleteSubnet": ("SubnetId", [("DescribeNetworkInterfaces", "subnet-id", "networkInterfaceId")]),
            "DeleteSecurityGroup": ("GroupId", [("DescribeNetworkInterfaces", "group-id", "networkInterfaceId")]),
            "DetachInternetGateway": ("VpcId", [("DescribeNetworkInterfaces", "vpc-id", "networkInterfaceId")]),
            "DeleteVpc": (
                "VpcId",
                [
                    ("DescribeInternetGateways", "attachment.vpc-id", "internetGatewayId"),
                    ("DescribeSecurityGroups", "vpc-id", "groupName"),
                ],
            ),
        }
        parameter, lists = wanted[call.operation]
        item_id = call.parameters.get(parameter, "")
        for operation, name, key in lists:
            found = await self.moto(operation, call.region, **{"Filter.1.Name": name, "Filter.1.Value.1": item_id})
            if any(item.text != "default" for item in tree(found).iter(tag(key))):
                said = f"The object '{item_id}' has dependencies and cannot be deleted."
                return refusal(call, "DependencyViolation", said)
        return None

    async def _forward(self, seen: Seen) -> Reply:
        headers = CIMultiDict((k, v) for k, v in seen.headers.items() if k.lower() not in HOP)
        if "Host" in seen.headers:
            headers["Host"] = seen.headers["Host"]
        url = URL(f"{self.target}{seen.path}" + (f"?{seen.query}" if seen.query else ""), encoded=True)
        async with self._client.request(seen.method, url, data=seen.body, headers=headers) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP - {"content-encoding"}}
            return Reply(answer.status, await answer.read(), kept)
