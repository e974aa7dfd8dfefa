"""Which collector serves which agent: collectors and a VM in, an order of preference out. Pure.

Rendezvous hashing: every process ranks all candidates by a hash of (VM, candidate) and so comes to the same order
without asking anybody; when a candidate goes, only its VMs move, and one that joins takes its fair share from all.
On top of it a bound on the load (Mirrokni, Thorup, Zadimoghaddam: Consistent Hashing with Bounded Loads, 2017): a
candidate that has a quarter more links than the average is passed over, so that no unlucky one is overrun.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SLACK = 1.25
SMALL = 8
"""Below this many links a collector is never full: bounds on tiny numbers would only shuffle agents about."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A collector. ``uid`` is the process, ``name`` stays when it starts anew; ``address`` is what agents call."""

    uid: str
    name: str
    address: tuple[str, int]
    region: str = ""
    links: int = 0


def ranked(key: str, names: Iterable[str]) -> list[str]:
    """All ``names``, the one most preferred for ``key`` first; the same in every process."""
    return sorted(names, key=lambda name: (_score(key, name), name), reverse=True)


def preferred(vm: str, region: str, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Where the agent of ``vm`` belongs, best first, whatever the load: those of its region before the others."""
    names = {candidate.name: candidate for candidate in candidates}
    order = [names[name] for name in ranked(vm, names)]
    return sorted(order, key=lambda candidate: bool(region) and candidate.region != region)


def route(vm: str, region: str, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Where the agent of ``vm`` should call now, best first; all candidates are in it, full ones come last."""
    full = bound(candidates)
    return sorted(preferred(vm, region, candidates), key=lambda candidate: candidate.links >= full)


def bound(candidates: Sequence[Candidate]) -> int:
    """Links from which on a collector is full."""
    if not candidates:
        return SMALL
    average = sum(candidate.links for candidate in candidates) / len(candidates)
    return max(SMALL, int(average * SLACK) + 1)


def _score(key: str, name: str) -> bytes:
    return hashlib.blake2b(f"{key}|{name}".encode(), digest_size=8).digest()
