"""Rules: what is refused and why, whom they concern, which columns they read."""

from typing import Any

import pytest

from mcisd.alarms.rule import check_rule, concerns, matching
from mcisd.model.alarms import Comparison, RuleLevel, Severity
from mcisd.model.errors import InputError
from tests.unit.alarms.alarms_kit import CORE, CPU, SENT, member, rule

BAD: list[tuple[str, dict[str, Any]]] = [
    ("name", {"name": "Not A Name"}),
    ("comparison", {"comparison": "=="}),
    ("aggregation", {"aggregation": "median"}),
    ("severity", {"severity": "bad"}),
    ("level", {"level": "region"}),
    ("recovery", {"recovery": 81.0}),
    ("recovery", {"recovery": 79.0, "comparison": Comparison.LT}),
    ("recovery", {"recovery": float("inf")}),
    ("threshold", {"threshold": float("nan")}),
    ("for_s", {"for_s": -1.0}),
    ("window_s", {"window_s": 3601.0}),
    ("window_s", {"window_s": float("nan")}),
    ("no_data_s", {"no_data_s": -1.0}),
    ("measurement", {"measurement": ""}),
    ("field_name", {"field_name": ""}),
    ("vm", {"level": RuleLevel.MCIS, "vm": "a-1"}),
    ("level", {"level": RuleLevel.MCIS, "no_data_s": 6.0}),
    ("for_s", {"for_s": 2.0, "no_data_s": 6.0}),
]


@pytest.mark.parametrize(("field", "changes"), BAD)
def test_an_unsound_rule_is_refused_with_field_and_remedy(field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError) as refused:
        check_rule(rule(**changes))
    assert refused.value.field == field
    assert refused.value.remedy


def test_a_sound_rule_passes_with_its_choices_as_members() -> None:
    checked = check_rule(rule(comparison=">=", severity="critical", recovery=80.0, window_s=3600.0))
    assert checked.comparison is Comparison.GE
    assert checked.severity is Severity.CRITICAL
    assert check_rule(rule(no_data_s=6.0, measurement="", field_name="")).no_data_s == 6.0


def test_a_rule_reads_the_columns_that_have_all_its_tags() -> None:
    columns = (CPU, CORE, SENT)
    assert matching(rule(), columns) == (0,)
    assert matching(rule(tags={}), columns) == (0, 1)
    assert matching(rule(tags={"cpu": "cpu9"}), columns) == ()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"mcis": "mcis-1"}, True),
        ({"vm": "a-1"}, True),
        ({"vm": "vm-a"}, True),
        ({"vm": "b-1"}, False),
        ({"ns": "other"}, False),
        ({"mcis": "db"}, False),
    ],
)
def test_a_rule_concerns_its_vms_by_name_or_uid(changes: dict[str, Any], expected: bool) -> None:
    assert concerns(rule(**changes), member()) is expected
