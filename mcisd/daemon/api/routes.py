"""All operations of the API."""

from mcisd.daemon.api import alarms, federation, infra, inventory, monitoring, policies, resources, system
from mcisd.daemon.api.routing import Route

ROUTES: list[Route] = [
    *federation.ROUTES,
    *inventory.ROUTES,
    *resources.ROUTES,
    *infra.ROUTES,
    *monitoring.ROUTES,
    *alarms.ROUTES,
    *policies.ROUTES,
    *system.ROUTES,
]
