"""Parts of the demonstration: its world, how it tells, what it takes for a message, its arguments."""

import asyncio
from pathlib import Path

import pytest

from mcisd.demo.main import Options, _make_home, _parse
from mcisd.demo.receivers import FIRING, RESOLVED, MailServer, Received
from mcisd.demo.scene_alarm import counts
from mcisd.demo.show import until
from mcisd.demo.smtp_sink import SmtpSink
from mcisd.demo.telling import StepFailedError, Teller, expect
from mcisd.demo.world import CLOUDS, PLACES, TOTAL


def test_the_world_is_the_one_to_beat() -> None:
    assert (TOTAL, len(CLOUDS), len(PLACES)) == (18, 4, 10)
    assert len({place.connection for place in PLACES}) == 10
    assert all(-90 <= place.latitude <= 90 and -180 <= place.longitude <= 180 for place in PLACES)


def test_steps_are_told_with_their_times(capsys: pytest.CaptureFixture[str]) -> None:
    tell = Teller()
    with tell.step("a", "one") as step:
        step.text = "one done"
    with pytest.raises(StepFailedError), tell.step("b", "two"):
        expect(False, "green", "red")
    tell.figures["x"] = 1.5
    tell.table()
    out = capsys.readouterr().out
    assert "✓ one done … 0.0 s" in out
    assert "✗ two" in out
    assert "1.50 s" in out
    assert [one.key for one in tell.steps] == ["a"]
    assert tell.document()["figures"] == {"x": 1.5}


def test_a_failure_says_what_was_expected_and_seen() -> None:
    assert str(StepFailedError("18 pages", 17)) == "expected 18 pages; seen: 17"


async def test_waiting_ends_with_what_was_seen_last() -> None:
    async def never() -> tuple[bool, object]:
        return False, "three"

    async def at_once() -> tuple[bool, object]:
        return True, "four"

    await until(at_once, "four", 0.0)
    with pytest.raises(StepFailedError, match=r"expected four within 0 s; seen: three"):
        await until(never, "four", 0.0)


def test_messages_are_told_apart_by_their_title() -> None:
    assert Received(0.0, "[CRITICAL] world/a: cpu").kind == FIRING
    assert Received(0.0, "[RESOLVED] world/a: cpu").kind == RESOLVED


def test_a_message_too_many_is_seen() -> None:
    class Fake:
        webhook = mail = MailServer.__new__(MailServer)

    Fake.mail.received = [Received(0.0, "[CRITICAL] x")]
    counts(Fake, FIRING, 1)  # type: ignore[arg-type]  # only the receivers are looked at
    Fake.mail.received *= 2
    with pytest.raises(StepFailedError, match="exactly 1 firing"):
        counts(Fake, FIRING, 1)  # type: ignore[arg-type]  # only the receivers are looked at


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.said = b""
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.said += bytes(data)

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = True


def test_the_mail_sink_takes_a_mail_in_any_pieces() -> None:
    talk = b"EHLO me\r\nMAIL FROM:<a>\r\nRCPT TO:<b>\r\nDATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\nFOO\r\nQUIT\r\n"
    for size in (1, 7, len(talk)):
        mails: list[bytes] = []
        wire, sink = Wire(), SmtpSink(mails.append)
        sink.connection_made(wire)
        for start in range(0, len(talk), size):
            sink.data_received(talk[start : start + size])
        assert mails == [b"Subject: x\r\n\r\n.dot"]
        codes = [line[:3] for line in wire.said.split(b"\r\n") if line]
        assert codes == [b"220", b"250", b"250", b"250", b"354", b"250", b"502", b"221"]
        assert wire.ended


def test_the_mail_sink_has_a_bound() -> None:
    wire, sink = Wire(), SmtpSink(lambda _: None)
    sink.connection_made(wire)
    sink.data_received(b"x" * 2_000_000)
    assert wire.ended


def test_arguments(tmp_path: Path) -> None:
    assert _parse([]) == Options()
    assert _parse(["--exit", "--home", "/h", "--json", "/j"]) == Options(Path("/h"), True, Path("/j"))
    (tmp_path / "something").touch()
    with pytest.raises(SystemExit):
        _parse(["--home", str(tmp_path)])


def test_a_home_with_a_long_path_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="TMPDIR"):
        _make_home(tmp_path / ("x" * 70))
