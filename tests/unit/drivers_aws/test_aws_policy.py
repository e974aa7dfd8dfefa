"""The table of operations against the code, the traces and the documentation. In: files. Out: assertions."""

import ast
import json
import re
from pathlib import Path

from mcisd.drivers.aws.driver import AwsConnection
from mcisd.drivers.aws.policy import FREE, OPERATIONS, actions, document
from mcisd.drivers.base import HANDLERS, capabilities

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "mcisd" / "drivers" / "aws"
NAME = re.compile(
    r"(Describe|Create|Delete|Attach|Detach|Authorize|Revoke|Import|Run|Start|Stop|Reboot|Terminate|Get)[A-Z]\w+"
)


def said() -> set[str]:
    """Names of operations in the code, wherever they stand as a text of their own."""
    found = set()
    for path in FOLDER.glob("*.py"):
        if path.name != "policy.py":
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
                    found.add(node.value)
    return found - {"DeleteOnTermination"}  # a parameter, named like an operation


def names() -> set[str]:
    return {action.split(":")[1] for action in actions()}


def test_the_code_asks_for_just_what_the_table_says() -> None:
    assert said() == names()


def test_the_table_has_every_method() -> None:
    has = capabilities(AwsConnection)
    methods = {api for name, there in has.items() if there for api in vars(HANDLERS[name]) if not api.startswith("_")}
    assert OPERATIONS.keys() == methods - {"crash_vm"} | {"check"}


def test_what_was_sent_in_the_suite_is_in_the_table() -> None:
    for line in (ROOT / "tests/conformance/traces/aws.txt").read_text().splitlines():
        api, _, sent = line.partition(": ")
        asked = {re.sub(r"^\d+ x ", "", item) for item in sent.split(", ")}
        assert asked <= {action.split(":")[1] for action in OPERATIONS[api.split(" ")[0]]}, api


def test_the_document_holds_the_policy() -> None:
    text = (ROOT / "docs/clouds/aws.md").read_text()
    blocks = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    policies = [found for found in map(json.loads, blocks) if "Statement" in found]
    assert policies == [document()], "python -m mcisd.drivers.aws.policy prints it anew"


def test_the_policy_allows_all_that_is_asked_and_no_more() -> None:
    statements = document()["Statement"]
    assert isinstance(statements, list)
    allowed = [action for statement in statements for action in statement["Action"]]
    assert len(allowed) == len(set(allowed))
    assert set(allowed) == actions() - FREE | {"ec2:CreateTags"}
    assert not any("*" in action for action in allowed)
