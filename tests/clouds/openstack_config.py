"""Configuration of the control plane under test. Pure. In: its folder and ports. Out: file name → text."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

SECRET = "control-plane"
"""Password of the admin and of the services' user: the servers listen on loopback and live as long as the tests."""
DATABASES = ("keystone", "glance", "placement", "nova_api", "nova_cell0", "nova", "neutron")
REGION = "RegionOne"
COMPUTE_HOST = "host-ovs-no_filter"
"""The name by which neutron's mechanism driver for tests knows a host on which it binds ports."""


@dataclass(frozen=True)
class Ports:
    rabbit: int
    rabbit_cluster: int
    epmd: int
    keystone: int
    placement: int
    glance: int
    nova: int
    neutron: int


@dataclass(frozen=True)
class Plan:
    """Where things are: ``folder`` for files, ``socket`` of MariaDB."""

    folder: Path
    socket: Path
    ports: Ports

    def save(self) -> Path:
        """Write this down for tests that use a control plane started by hand."""
        path = self.folder / "plan.json"
        path.write_text(
            json.dumps({"folder": str(self.folder), "socket": str(self.socket), "ports": asdict(self.ports)})
        )
        return path

    @staticmethod
    def load(path: Path) -> "Plan":
        told = json.loads(path.read_text())
        return Plan(Path(told["folder"]), Path(told["socket"]), Ports(**told["ports"]))

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{getattr(self.ports, service)}"

    def database(self, name: str) -> str:
        return f"mysql+pymysql://root:@localhost/{name}?unix_socket={self.socket}&charset=utf8"

    @property
    def transport(self) -> str:
        return f"rabbit://guest:guest@127.0.0.1:{self.ports.rabbit}/"


def files(plan: Plan) -> dict[str, str]:
    """Every file of the folder that a service reads; ``etc/NAME/policy.yaml`` is for tests to change."""
    texts = {
        "keystone/keystone.conf": _keystone(plan),
        "placement/placement.conf": _placement(plan),
        "glance/glance-api.conf": _glance(plan),
        "nova/nova.conf": _nova(plan),
        "neutron/neutron.conf": _neutron(plan),
        "neutron/ml2.ini": ML2,
    }
    for service in ("keystone", "placement", "glance", "nova", "neutron"):
        texts[f"{service}/policy.yaml"] = policy({})
    return {f"etc/{name}": text for name, text in texts.items()}


def policy(rules: dict[str, str]) -> str:
    """A policy file; what it does not name stays as the service has it."""
    return "# rules of the tests\n" + "".join(
        f"{json.dumps(name)}: {json.dumps(rule)}\n" for name, rule in rules.items()
    )


def catalogue(plan: Plan) -> dict[str, str]:
    """Type of a service → its address."""
    return {
        "identity": f"{plan.url('keystone')}/v3", "compute": f"{plan.url('nova')}/v2.1",
        "network": plan.url("neutron"), "image": plan.url("glance"), "placement": plan.url("placement"),
    }  # fmt: skip


def _tokens(plan: Plan, kind: str) -> str:
    """How a service has keystone judge tokens; with its type it heeds the access rules of application credentials."""
    return _auth(plan, "keystone_authtoken") + f"service_type = {kind}\n"


def _auth(plan: Plan, section: str) -> str:
    """How a service proves itself to another."""
    return f"""
[{section}]
auth_type = password
auth_url = {plan.url("keystone")}/v3
www_authenticate_uri = {plan.url("keystone")}/v3
username = admin
password = {SECRET}
project_name = admin
user_domain_id = default
project_domain_id = default
region_name = {REGION}
"""


def _common(plan: Plan, service: str) -> str:
    """What all services have in common, after their own lines of [DEFAULT]."""
    return f"""
use_stderr = true
[oslo_concurrency]
lock_path = {plan.folder}/locks
[oslo_policy]
policy_file = {plan.folder}/etc/{service}/policy.yaml
"""


def _keystone(plan: Plan) -> str:
    return f"""[DEFAULT]
{_common(plan, "keystone")}
[database]
connection = {plan.database("keystone")}
[token]
provider = fernet
[fernet_tokens]
key_repository = {plan.folder}/fernet
[credential]
key_repository = {plan.folder}/credential
[identity]
password_hash_rounds = 4
[cache]
enabled = true
backend = oslo_cache.dict
"""


def _placement(plan: Plan) -> str:
    return f"""[DEFAULT]
{_common(plan, "placement")}
[api]
auth_strategy = keystone
[placement_database]
connection = {plan.database("placement")}
{_tokens(plan, "placement")}
"""


def _glance(plan: Plan) -> str:
    return f"""[DEFAULT]
bind_host = 127.0.0.1
bind_port = {plan.ports.glance}
workers = 0
{_common(plan, "glance")}
[database]
connection = {plan.database("glance")}
[paste_deploy]
flavor = keystone
config_file = /etc/glance/glance-api-paste.ini
[glance_store]
stores = file
default_store = file
filesystem_store_datadir = {plan.folder}/images
{_tokens(plan, "image")}
"""


def _nova(plan: Plan) -> str:
    return f"""[DEFAULT]
host = {COMPUTE_HOST}
my_ip = 127.0.0.1
transport_url = {plan.transport}
state_path = {plan.folder}/nova
compute_driver = fake.FakeDriver
vif_plugging_is_fatal = false
vif_plugging_timeout = 0
enabled_apis = osapi_compute
{_common(plan, "nova")}
[api]
auth_strategy = keystone
[api_database]
connection = {plan.database("nova_api")}
[database]
connection = {plan.database("nova")}
[conductor]
workers = 1
[scheduler]
workers = 1
[glance]
api_servers = {plan.url("glance")}
[oslo_messaging_rabbit]
heartbeat_timeout_threshold = 0
{_auth(plan, "placement")}
{_auth(plan, "neutron")}
{_tokens(plan, "compute")}
"""


def _neutron(plan: Plan) -> str:
    return f"""[DEFAULT]
bind_host = 127.0.0.1
bind_port = {plan.ports.neutron}
core_plugin = ml2
service_plugins = router
transport_url = {plan.transport}
state_path = {plan.folder}/neutron
api_paste_config = /etc/neutron/api-paste.ini
api_workers = 0
rpc_workers = 0
rpc_state_report_workers = 0
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
dhcp_agent_notification = false
{_common(plan, "neutron")}
[database]
connection = {plan.database("neutron")}
max_pool_size = 20
[oslo_messaging_rabbit]
heartbeat_timeout_threshold = 0
[quotas]
quota_network = 200
quota_subnet = 200
quota_router = 200
quota_security_group = 200
quota_security_group_rule = 2000
quota_port = 1000
quota_floatingip = 200
{_tokens(plan, "network")}
"""


ML2 = """[ml2]
type_drivers = local,flat
tenant_network_types = local
mechanism_drivers = test
[ml2_type_flat]
flat_networks = *
"""
