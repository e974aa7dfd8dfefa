"""Bad days at AWS. In: a kind of trouble. Out: the rule of the proxy that brings it, in AWS's own words."""

from collections.abc import Callable
from email.utils import formatdate
from time import time

from tests.clouds.aws_front import CODES
from tests.clouds.aws_words import Call, call_of, instances, refusal, tag, text, tree, with_tree
from tests.clouds.proxy import Reply, Rule, Seen
from tests.conformance.driver_bench import Trouble

DENIED = (
    "You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/suite is not authorized to "
    "perform: ec2:{} on resource: arn:aws:ec2:::* because no identity-based policy allows it. "
    "Encoded authorization failure message: 4TbAvF9zH0"
)
EARLIER = "Signature expired: 20261121T080000Z is now earlier than 20261121T085500Z (20261121T091000Z - 15 min.)"
CPUS = (
    "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket that the "
    "specified instance type belongs to."
)
FULL = "We currently do not have sufficient t3.micro capacity in the Availability Zone you requested."


def rule(kind: Trouble, times: int) -> Rule:
    """The rule for one kind; see DriverBench.trouble."""
    match kind:
        case Trouble.EXPIRED_KEY:
            return Rule(lambda seen: True, _expired)
        case Trouble.CLOCK_SKEW:
            return Rule(lambda seen: True, _skewed)
        case Trouble.NO_PERMISSION:
            return Rule(_changes, lambda seen: _denied(call_of(seen)))
        case Trouble.QUOTA:
            return Rule(_is("RunInstances"), _says("VcpuLimitExceeded", CPUS, 400))
        case Trouble.NO_CAPACITY:
            return Rule(_is("RunInstances"), _says("InsufficientInstanceCapacity", FULL, 500))
        case Trouble.THROTTLED:
            return Rule(_changes, _says("RequestLimitExceeded", "Request limit exceeded.", 503), times=times)
        case Trouble.BROKEN_SERVER:
            return Rule(_changes, _says("InternalError", "An internal error has occurred", 500), times=times)
        case Trouble.LOST_ANSWER:
            return Rule(_changes, lose=True, times=times)
        case Trouble.LATE_LISTS:
            return Rule(_lists, change=_unseen)
        case Trouble.STALE_LISTS:
            return Rule(_lists, change=_undead)


def _is(operation: str) -> Callable[[Seen], bool]:
    return lambda seen: call_of(seen).operation == operation


def _changes(seen: Seen) -> bool:
    return call_of(seen).changes


def _lists(seen: Seen) -> bool:
    """A list, not the look at a VM by its id."""
    call = call_of(seen)
    return call.operation == "DescribeInstances" and not call.values("InstanceId")


def _says(code: str, message: str, status: int) -> Callable[[Seen], Reply]:
    return lambda seen: refusal(call_of(seen), code, message, status)


def _denied(call: Call) -> Reply:
    return refusal(call, "UnauthorizedOperation", DENIED.format(call.operation), 403)


def _expired(seen: Seen) -> Reply:
    call = call_of(seen)
    if call.service == "ec2":
        return refusal(call, "RequestExpired", "Request has expired.", 400)
    code = "ExpiredToken" if call.service == "sts" else "ExpiredTokenException"
    return refusal(call, code, "The security token included in the request is expired", 403)


def _skewed(seen: Seen) -> Reply:
    """AWS's clock is an hour ahead of ours; the token service says so in words, EC2 only by its date."""
    call, date = call_of(seen), {"Date": formatdate(time() + 3600, usegmt=True)}
    if call.service == "ec2":
        said = "AWS was not able to validate the provided access credentials"
        return refusal(call, "AuthFailure", said, 401, date)
    return refusal(call, "SignatureDoesNotMatch", EARLIER, 403, date)


def _unseen(seen: Seen, reply: Reply) -> Reply:
    """No VM is listed."""
    root = tree(reply)
    listed = root.find(tag("reservationSet"))
    if listed is not None:
        listed.clear()
    return with_tree(reply, root)


def _undead(seen: Seen, reply: Reply) -> Reply:
    """VMs that are gone are shown as running."""
    root = tree(reply)
    for item in instances(root):
        told = item.find(tag("instanceState"))
        if told is not None and text(told, "name") in ("shutting-down", "terminated"):
            for name, value in (("code", CODES["running"]), ("name", "running")):
                part = told.find(tag(name))
                assert part is not None
                part.text = value
    return with_tree(reply, root)
