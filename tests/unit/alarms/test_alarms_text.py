"""What people read."""

from mcisd.alarms.lifecycle import Change, end, silent, step
from mcisd.alarms.rule import Condition
from mcisd.alarms.text import body, event, number, seconds, title
from mcisd.model.alarms import AlarmRule, Severity
from tests.unit.alarms.alarms_kit import START, member, rule, state


def fire(of: AlarmRule, value: float = 97.2) -> Change:
    change = step(state(of), 0.0, of, Condition.of(of), START, value)
    assert change is not None
    return change


def test_titles_are_one_plain_line() -> None:
    of = rule(severity=Severity.CRITICAL)
    fired = fire(of)
    assert title(fired, "web/a-1") == "[CRITICAL] web/a-1: cpu usage_active 97.2 > 80"
    resolved = step(fired.state, START, of, Condition.of(of), START + 192, 43.0)
    assert resolved is not None
    assert title(resolved, "web/a-1") == ("[RESOLVED] web/a-1: cpu usage_active 43, was > 80 (fired for 3 min 12 s)")
    ended = end(fired.state, of, START + 5, "vm removed", last=True)
    assert ended is not None
    assert title(ended, "web/a-1") == "[RESOLVED] web/a-1: vm removed (fired for 5 s)"
    quiet = silent(state(of), rule(no_data_s=6.0), START)
    assert quiet is not None
    assert title(quiet, "web/a-1") == "[WARNING] web/a-1: no data for 6 s"


def test_the_body_says_who_where_when_and_which_episode() -> None:
    fired = fire(rule(labels={"team": "web"}))
    lines = body(fired, "web/a-1", member()).splitlines()
    assert lines[1:] == [
        "rule: cpu-high",
        "series: cpu=cpu-total",
        "labels: team=web",
        "namespace: demo",
        "region: local seoul",
        "fired: 2023-11-14 22:13:20 UTC",
        f"episode: {fired.state.episode}",
    ]


def test_the_event_names_rule_severity_value_threshold_and_subject() -> None:
    found = event(fire(rule()), member())
    assert (found.type, found.subject) == ("alarm.firing", "ns/demo/infra/web/vm/a-1")
    wanted = {"rule": "cpu-high", "severity": "warning", "value": 97.2, "threshold": 80.0, "subject": "vm-a"}
    assert {key: found.data[key] for key in wanted} == wanted


def test_numbers_and_times_are_short() -> None:
    assert [number(v) for v in (97.2, 80.0, 0.1234, 1e12, None)] == ["97.2", "80", "0.123", "1e+12", "no value"]
    assert [seconds(v) for v in (0.5, 10, 60, 192, 7500)] == ["0.5 s", "10 s", "1 min", "3 min 12 s", "2 h 5 min"]
