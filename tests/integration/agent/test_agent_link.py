"""The link state machine, driven step by step against a real TLS server on loopback."""

import array
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcisd.agent import link as link_module
from mcisd.agent.config import Config
from mcisd.agent.gather import Schema
from mcisd.agent.link import Link
from mcisd.agent.outbox import Outbox
from mcisd.agent.probes.own import Stats
from mcisd.agent.servers import Servers
from mcisd.agent.spool import Spool
from mcisd.demo.ports import free_port
from mcisd.model import wire
from tests.integration.agent.agent_server import NAME, TOKEN, AgentServer, make_certificates

SCHEMA = Schema([["m", "f", {}, "g"]])
RIGS: "list[Rig]" = []


class Rig:
    """A link with an outbox and no probes; ``drive`` runs it until a condition holds."""

    def __init__(self, folder: Path, *servers: tuple[str, int]) -> None:
        body: dict[str, object] = {"vm": "vm-1", "token": TOKEN, "ca": "ca.pem", "server_name": NAME}
        config = Config(body | {"servers": [list(server) for server in servers]}, str(folder))
        self.stats = Stats()
        self.outbox = Outbox(Spool(config.spool_dir, 1 << 22, 10**6), self.stats)
        self.seq = 0
        self.longest = 0.0  # seconds one step took, without those for which others had the processor
        hello: dict[str, object] = {
            "protocol": wire.PROTOCOL,
            "vm": "vm-1",
            "token": TOKEN,
            "agent": "t",
            "session": "s",
        }
        self.servers = Servers(str(folder / "servers"), config.servers)
        self.link = Link(config, hello, self.servers, self.outbox, self.stats, self.command, self.welcome)
        RIGS.append(self)

    def command(self, body: dict[str, object]) -> tuple[dict[str, object], tuple[int, bytes] | None]:
        return {"id": body["id"], "ok": True}, None

    def welcome(self, body: dict[str, object]) -> None:
        self.greeting = body

    def put(self, count: int, age_s: float = 0.0) -> None:
        for _ in range(count):
            self.seq += 1
            at = int((time.time() - age_s) * 1000)
            payload = wire.pack_frame(SCHEMA.id, self.seq, at, 0, array.array("d", [0.5]))[5:]
            self.outbox.put(self.seq, at, payload, SCHEMA)

    def drive(self, condition: Callable[[], object], seconds: float = 15.0) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, self.link.error
            ready = select.select(self.link.reading, self.link.writing, [], 0.02)
            began, waited = time.monotonic(), queued()
            self.link.step(began, set(ready[0]), set(ready[1]))
            self.longest = max(self.longest, time.monotonic() - began - (queued() - waited))


def queued() -> float:
    """Seconds this thread has waited for a processor so far."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


@pytest.fixture(autouse=True)
def _ends() -> Iterator[None]:
    yield
    while RIGS:
        RIGS.pop().link.farewell(0.2)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AgentServer]:
    make_certificates(tmp_path)
    server = AgentServer(tmp_path)
    yield server
    server.close()


def test_the_next_server_is_tried_when_one_is_down(tmp_path: Path, server: AgentServer) -> None:
    rig = Rig(tmp_path, ("127.0.0.1", free_port()), ("127.0.0.1", server.port))
    rig.drive(lambda: rig.link.error)
    assert "refused" in rig.link.error
    rig.drive(lambda: rig.link.up)
    assert rig.link.error == ""
    rig.link.farewell(1.0)


def test_a_server_given_by_name(tmp_path: Path, server: AgentServer) -> None:
    rig = Rig(tmp_path, ("localhost", server.port))
    rig.drive(lambda: rig.link.up)
    rig.link.farewell(1.0)


def test_a_long_replay_is_in_order_and_no_step_takes_long(tmp_path: Path, server: AgentServer) -> None:
    rig = Rig(tmp_path, ("127.0.0.1", server.port))
    rig.put(5000, age_s=60)
    assert rig.stats.spooled_frames == 5000
    rig.drive(lambda: rig.link.up)
    rig.put(1)
    rig.drive(lambda: server.replay_done and not rig.outbox.kept, seconds=30)
    assert len(server.frames) == 5001
    assert [frame[1] for frame in server.frames if frame[3] == wire.REPLAYED] == list(range(1, 5001))
    assert [frame[1] for frame in server.frames if not frame[3]] == [5001]
    assert server.frames[-1][3] == wire.REPLAYED, "what is live does not wait"
    assert rig.longest < 0.5
    rig.link.farewell(1.0)


def test_replay_keeps_its_pace_and_what_is_live_goes_first(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    server = AgentServer(tmp_path, replay_per_s=50)
    rig = Rig(tmp_path, ("127.0.0.1", server.port))
    rig.put(100, age_s=60)
    rig.drive(lambda: rig.link.up)
    began = time.monotonic()
    for number in range(1, 4):
        rig.put(1)
        rig.drive(lambda number=number: len([1 for frame in server.frames if not frame[3]]) == number)  # type: ignore[misc]  # a default is no argument
        assert time.monotonic() - began < 0.5
    rig.drive(lambda: not rig.outbox.kept and server.replay_done)
    assert 1.5 < time.monotonic() - began < 10
    assert len(server.frames) == 103
    server.close()


def test_a_link_lost_in_the_middle_of_a_replay_loses_nothing(tmp_path: Path, server: AgentServer) -> None:
    server.auto_ack, server.replay_per_s = False, 200
    rig = Rig(tmp_path, ("127.0.0.1", server.port))
    rig.put(50, age_s=60)
    rig.drive(lambda: len(server.frames) > 20)
    rig.put(3)
    server.auto_ack = True
    server.cut()
    rig.drive(lambda: not rig.link.up)
    rig.drive(lambda: not rig.outbox.kept, seconds=20)
    assert {frame[1] for frame in server.frames} == set(range(1, 54))
    assert rig.stats.dropped_frames == 0


def test_refused_as_moved_the_other_server_is_called_at_once_and_remembered(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    there = AgentServer(tmp_path)
    here = AgentServer(tmp_path, refuse="moved", servers=[["127.0.0.1", there.port], ["127.0.0.1", 9]])
    rig = Rig(tmp_path, ("127.0.0.1", here.port))
    began = time.monotonic()
    rig.drive(lambda: rig.link.up)
    assert time.monotonic() - began < 0.9
    assert (len(here.hellos), len(there.hellos)) == (1, 1)
    assert (here.hellos[0]["stay"], there.hellos[0]["stay"]) == (False, True)
    again = Servers(str(tmp_path / "servers"), [("127.0.0.1", here.port)])
    seen = []
    for _ in range(3):
        seen.append(again.current[1])
        again.next()
    assert seen == [there.port, 9, here.port]
    here.close()
    there.close()


def test_two_servers_that_send_it_to_each_other_get_the_usual_pause(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    one, two = AgentServer(tmp_path, refuse="moved"), AgentServer(tmp_path, refuse="moved")
    one.servers, two.servers = [["127.0.0.1", two.port]], [["127.0.0.1", one.port]]
    rig = Rig(tmp_path, ("127.0.0.1", one.port))
    rig.drive(lambda: rig.link._pause > 4)
    assert len(one.hellos) + len(two.hellos) <= link_module.MOST_MOVES + 4
    one.close()
    two.close()


def test_told_to_move_it_says_good_bye_and_calls_there(tmp_path: Path, server: AgentServer) -> None:
    rig = Rig(tmp_path, ("127.0.0.1", server.port))
    there = AgentServer(tmp_path)
    there.servers = [["127.0.0.1", server.port], ["127.0.0.1", there.port]]
    rig.drive(lambda: rig.link.up)
    server.command(id="m", op="move", servers="nowhere")
    rig.drive(lambda: "m" in server.replies)
    assert (server.replies["m"]["ok"], rig.link.up) == (False, True)
    rig.put(2)
    server.command(id="n", op="move", servers=[["127.0.0.1", there.port]])
    rig.drive(lambda: there.hellos and rig.link.up)
    assert server.replies["n"]["ok"] is True
    assert server.goodbyes == [{"reason": "moved"}]
    assert rig.servers.current == ("127.0.0.1", there.port)
    assert (server.hellos[0]["link"], there.hellos[0]["link"]) == (0, 1), "it says the number of its last link"
    there.close()


def test_a_link_that_was_good_is_tried_again_before_another_server(tmp_path: Path, server: AgentServer) -> None:
    rig = Rig(tmp_path, ("127.0.0.1", server.port), ("127.0.0.1", free_port()))
    rig.drive(lambda: rig.link.up)
    rig.put(1)
    rig.drive(lambda: not rig.outbox.kept)
    server.cut()
    rig.drive(lambda: not rig.link.up)
    assert rig.servers.current == ("127.0.0.1", server.port)
    rig.drive(lambda: rig.link.up)


def test_silence_ends_the_link(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    server = AgentServer(tmp_path, auto_ack=False)
    rig = Rig(tmp_path, ("127.0.0.1", server.port))
    rig.link.patience = 0.2
    rig.drive(lambda: rig.link.up)
    rig.put(1)
    rig.drive(lambda: not rig.link.up)
    assert rig.link.error == "the server is silent"
    assert rig.stats.reconnects == 1
    assert rig.outbox.kept == 1
    server.close()


def test_a_peer_that_never_answers_the_handshake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_certificates(tmp_path)
    monkeypatch.setattr(link_module, "CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        rig = Rig(tmp_path, ("127.0.0.1", mute.getsockname()[1]))
        rig.drive(lambda: rig.link.error)
    assert rig.link.error == "the server is silent"


def test_pauses_grow_and_a_revoked_agent_waits_a_minute(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    rig = Rig(tmp_path, ("127.0.0.1", free_port()))
    now = 0.0
    for most in (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        rig.link.error = ""
        while not rig.link.error:
            now = max(now, rig.link.deadline if not rig.link.writing else now)
            rig.link.step(now, set(), set(rig.link.writing))
        assert 0 <= rig.link.deadline - now <= most
    server = AgentServer(tmp_path, refuse="revoked")
    rig = Rig(tmp_path, ("127.0.0.1", server.port))
    rig.drive(lambda: rig.link.error)
    assert rig.link.deadline - time.monotonic() > 55
    server.close()


def test_a_missing_ca_file_is_no_way_around_the_check(tmp_path: Path, server: AgentServer) -> None:
    rig = Rig(tmp_path, ("127.0.0.1", server.port))
    (tmp_path / "ca.pem").unlink()
    rig.drive(lambda: rig.link.error)
    assert server.hellos == []
    assert not rig.link.up
