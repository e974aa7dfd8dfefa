"""Questions as Flux, InfluxDB's CSV as series, and which bucket answers what."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.aio.clock import ManualClock
from mcisd.model.errors import ConfigError, StoreError
from mcisd.model.samples import Column
from mcisd.store.series.base import SeriesQuery
from mcisd.store.series.influx import flux
from mcisd.store.series.influx.answer import Answer, records
from mcisd.store.series.influx.http import InfluxHttp, retry_after
from mcisd.store.series.influx.kinds import Kinds
from mcisd.store.series.influx.options import DAY_S, InfluxOptions
from mcisd.store.series.influx.spans import HOUR_MS, MINUTE_MS, Span, spans
from mcisd.store.series.influx.tasks import wanted_tasks

OPTIONS = InfluxOptions("http://influx:8086", "org", "b", "secret", 10 * DAY_S, 100 * DAY_S, 0)
NOW_MS = 20_000 * DAY_S * 1000
DAY_MS = DAY_S * 1000
EQUAL = 'r["_field"] == "{}"'


def question(start_ms: int, end_ms: int, step_ms: int, statistic: str = "avg") -> SeriesQuery:
    return SeriesQuery(["vm-1"], "cpu", start_ms, end_ms, step_ms, statistic)


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("cpu-total", '"cpu-total"'),
        ('a" or true or r.x == "', r'"a\x22 or true or r.x \x3d\x3d \x22"'),
        ("${x}", r'"\x24\x7bx\x7d"'),
        ("a\\", r'"a\x5c"'),
        ("é\n", r'"\xc3\xa9\x0a"'),
    ],
)
def test_text_is_no_flux(text: str, literal: str) -> None:
    assert flux.literal(text) == literal


@given(st.text())
def test_no_text_ends_its_literal(text: str) -> None:
    inner = flux.literal(text)[1:-1]
    assert not set(inner) & set('"$\n{}')
    assert inner.count("\\") == inner.count("\\x")


def test_a_question_as_flux() -> None:
    asked = SeriesQuery(
        ["v1", "v2"], "cpu", 1_003, 9_000, 2_000, "avg", ["user", "user", "a:sum"], {"cpu": "c0", "vm": "x"}
    )
    fields = ("user:sum", "user:count", "a:sum::sum", "a:sum::count")
    dropped = ("_start", "_stop", "connection", "host", "infra", "ns", "provider", "region", "_measurement")
    assert flux.steps(asked, ["v1", "v2"], Span("b", 1_003, 9_000), 2_000).splitlines() == [
        'from(bucket: "b")',
        "|> range(start: time(v: 1003000000), stop: time(v: 9000000000))",
        '|> filter(fn: (r) => r["_measurement"] == "cpu")',
        '|> filter(fn: (r) => r["vm"] == "v1" or r["vm"] == "v2")',
        f"|> filter(fn: (r) => {' or '.join(EQUAL.format(name) for name in fields)})",
        '|> filter(fn: (r) => r["cpu"] == "c0")',
        '|> filter(fn: (r) => r["vm_"] == "x")',
        '|> aggregateWindow(every: 2000ms, offset: 1003ms, fn: sum, createEmpty: false, timeSrc: "_start")',
        f"|> drop(columns: {json.dumps(dropped)})",
    ]


def test_a_long_choice_is_a_tree() -> None:
    """Flux refuses a chain of some hundred terms."""
    vms = [f"v{number}" for number in range(1000)]
    text = flux.newest("b", vms, None, 0, 1)
    assert all(f'== "{vm}"' in text for vm in vms)
    depth = most = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        most = max(most, depth)
    assert most < 12
    assert max(len(part) for part in text.replace("(", ")").split(")")) < 250


CSV = (
    ",result,table,_time,_value,_field,cpu,vm\r\n"
    ",_result,0,2026-11-21T16:00:00Z,10,user:sum,c0,v1\r\n"
    ",_result,0,2026-11-21T16:00:10.5Z,1e-07,user:sum,c0,v1\r\n"
    ",_result,1,2026-11-21T16:00:00Z,4,user:count,c0,v1\r\n"
    ",_result,1,2026-11-21T16:00:10.5Z,1,user:count,c0,v1\r\n"
    "\r\n"
    ",result,table,_time,_value,_field,path,vm\r\n"
    ',_result,2,2026-11-21T16:00:00Z,-0,"a,b:sum","say ""x"", y",v2\r\n'
    ',_result,3,2026-11-21T16:00:00Z,2,"a,b:count","say ""x"", y",v2\r\n'
    "\r\n"
)
START_MS = 1_795_276_800_000


def test_an_answer_becomes_series() -> None:
    answer = Answer()
    answer.add(CSV)
    first, second = answer.results("avg", "m", lambda *_: "c")
    assert (first.vm, first.column) == ("v1", Column("m", "user", (("cpu", "c0"),), "c"))
    assert first.times_ms.tolist() == [START_MS, START_MS + 10_500]
    assert first.values.tolist() == [2.5, 1e-07]
    assert (second.vm, second.column) == ("v2", Column("m", "a,b", (("path", 'say "x", y'),), "c"))
    assert second.values.tolist() == [0.0]


@pytest.mark.parametrize(
    ("statistic", "suffix", "expected"),
    [("min", ":min", 1.0), ("max", ":max", 3.0), ("last", "", 1.0), ("count", ":count", 4.0)],
)
def test_parts_of_one_step_are_merged(statistic: str, suffix: str, expected: float) -> None:
    """A step that begins in one bucket and ends in the next: the later part comes later."""
    answer = Answer(START_MS, 60_000)
    for seconds, value in ((0, 3), (30, 1)):
        head = ",result,table,_time,_value,_field,vm\r\n"
        answer.add(f"{head},_result,0,2026-11-21T16:00:{seconds:02}Z,{value},user{suffix},v1\r\n\r\n")
    (found,) = answer.results(statistic, "m", lambda *_: "g")
    assert (found.times_ms.tolist(), found.values.tolist()) == ([START_MS], [expected])


@pytest.mark.parametrize("read", [lambda text: Answer().add(text), lambda text: list(records(text))])
def test_an_answer_that_breaks_off_is_an_error(read: Callable[[str], object]) -> None:
    with pytest.raises(StoreError, match="memory"):
        read(CSV + "\r\n,error,reference\r\n,out of memory,\r\n")


def test_what_is_still_there_comes_from_the_windows() -> None:
    asked = question(NOW_MS - 9 * DAY_MS, NOW_MS, HOUR_MS)
    assert spans(asked, OPTIONS, NOW_MS) == [Span("b", asked.start_ms, NOW_MS)]


@pytest.mark.parametrize("step_ms", [10_000, 90_000, 7_001])
def test_steps_that_are_no_whole_minutes_have_only_the_windows(step_ms: int) -> None:
    asked = question(NOW_MS - 50 * DAY_MS, NOW_MS, step_ms)
    assert spans(asked, OPTIONS, NOW_MS) == [Span("b", asked.start_ms, NOW_MS)]


def test_a_long_span_is_shared_by_all_buckets() -> None:
    asked = question(NOW_MS - 300 * DAY_MS, NOW_MS - 1234, 5 * HOUR_MS)
    hours, minutes, windows = spans(asked, OPTIONS, NOW_MS)
    assert [one.bucket for one in (hours, minutes, windows)] == ["b_1h", "b_1m", "b"]
    assert (hours.start_ms, hours.end_ms, minutes.end_ms) == (asked.start_ms, minutes.start_ms, windows.start_ms)
    assert 0 <= minutes.start_ms - (NOW_MS - 100 * DAY_MS) < 5 * HOUR_MS
    assert 0 <= windows.start_ms - (NOW_MS - 10 * DAY_MS) < 5 * HOUR_MS


@given(
    st.integers(0, 400 * 24 * 60),
    st.integers(0, 400 * 24 * 60),
    st.sampled_from([0, 1, MINUTE_MS, 7 * MINUTE_MS, HOUR_MS, 24 * HOUR_MS]),
    st.integers(0, 10**7),
)
def test_shares_cover_the_span_without_overlap(back: int, length: int, step_ms: int, odd_ms: int) -> None:
    """Only minutes or hours that the question holds in part may be missing, at its end; each cut is between steps."""
    start = NOW_MS - back * MINUTE_MS
    asked = question(start, start + length * MINUTE_MS + odd_ms, step_ms)
    found = spans(asked, OPTIONS, NOW_MS)
    at = asked.start_ms
    for one in found:
        assert one.start_ms == at < one.end_ms
        assert one.start_ms == asked.start_ms or not step_ms or (one.start_ms - asked.start_ms) % step_ms == 0
        at = one.end_ms
    assert 0 <= asked.end_ms - at < HOUR_MS
    if not found or found[-1].bucket == "b":
        assert at == asked.end_ms or not found


def test_the_token_is_told_to_nobody() -> None:
    assert "secret" not in repr(OPTIONS)
    assert all("secret" not in task.flux for task in wanted_tasks(OPTIONS))
    with pytest.raises(ConfigError) as raised:
        InfluxOptions("http://influx:8086", "org", "b", "")
    assert raised.value.field == "store.series_token_file"
    with pytest.raises(ConfigError) as raised:
        InfluxOptions("influx:8086", "org", "b", "secret")
    assert raised.value.field == "store.series_url"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("", None), ("soon", None), ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0)],
)
def test_when_to_come_again(header: str, seconds: float | None) -> None:
    assert retry_after(header, 1_700_000_000.0) == seconds


def test_a_field_in_no_catalogue_is_what_its_name_says() -> None:
    kinds = Kinds(InfluxHttp(OPTIONS, ManualClock()), ManualClock())
    assert (kinds.of("net", "bytes_recv_rate"), kinds.of("net", "bytes_recv")) == ("r", "g")
