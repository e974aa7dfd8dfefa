"""Serve one of the services' WSGI applications, many requests at a time. Run by the system's Python, not by ours.

In: arguments ``keystone|placement|nova PORT``; configuration in the environment. Out: a server on loopback.
"""

import importlib
import os
import sys
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

APPLICATIONS = {
    "keystone": ("keystone.server.wsgi", "initialize_public_application"),
    "placement": ("placement.wsgi", "init_application"),
    "nova": ("nova.api.openstack.compute.wsgi", "init_application"),
}


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 256


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """The services write logs of their own."""


def main() -> None:
    name, port = sys.argv[1:3]
    del sys.argv[1:]  # the services read their own arguments from there
    if name == "nova":
        os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"
    module, maker = APPLICATIONS[name]
    application: Any = getattr(importlib.import_module(module), maker)()
    make_server("127.0.0.1", int(port), application, Server, Quiet).serve_forever()


if __name__ == "__main__":
    main()
