"""A small real TLS server that speaks the daemon's side of the agent link, and the certificates it needs."""

import datetime
import json
import os
import queue
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mcisd.model import wire

NAME = "collector.mcisd"
TOKEN = "token-of-vm-1"
Frame = tuple[int, int, int, int, bytes]
STARTED: list[subprocess.Popen[str]] = []


def make_certificates(folder: Path, name: str = NAME) -> None:
    """Write ``ca.pem``, and ``server.pem`` (key and certificate for ``name``) signed by it, into ``folder``."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("test CA", ca_key.public_key(), "test CA", ca_key, ca=True)
    own = _certificate(name, key.public_key(), "test CA", ca_key, ca=False)
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    (folder / "server.pem").write_bytes(secret + own.public_bytes(pem))


def _certificate(
    subject: str, key: ec.EllipticCurvePublicKey, issuer: str, signer: ec.EllipticCurvePrivateKey, *, ca: bool
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not ca:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
    return builder.sign(signer, hashes.SHA256())


class AgentServer:
    """Serves one agent at a time on loopback and records what it says."""

    def __init__(
        self,
        folder: Path,
        *,
        auto_ack: bool = True,
        refuse: str = "",
        interval_ms: int = 200,
        port: int = 0,
        window_ms: int = 10_000,
        replay_per_s: int = 100_000,
        servers: list[list[object]] | None = None,
    ) -> None:
        self.auto_ack = auto_ack
        self.refuse = refuse
        self.window_ms = window_ms
        self.replay_per_s = replay_per_s
        self.servers = servers
        self.replay_done = 0
        self.goodbyes: list[dict[str, object]] = []
        self.interval_ms = interval_ms
        self.hellos: list[dict[str, object]] = []
        self.schemas: dict[int, list[list[object]]] = {}
        self.frames: list[Frame] = []
        self.replies: dict[str, dict[str, object]] = {}
        self.byes = 0
        self.errors: list[str] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "server.pem")
        self._connection: ssl.SSLSocket | None = None
        self._commands: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._ending = False
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def command(self, **body: object) -> None:
        """Have one COMMAND sent to the agent on the line, by the serving thread: TLS is for one thread at a time."""
        assert self._connection
        self._commands.put(wire.pack_json(wire.COMMAND, body))

    def cut(self) -> None:
        """Break the connection without a word."""
        if self._connection:
            # The plain socket's: the TLS one's would have the serving thread take what still comes for clear text.
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening, break the connection, wait for the thread."""
        self._ending = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        try:
            self.cut()
        except OSError as error:
            self.errors.append(str(error))
        self._thread.join(5)

    def _serve(self) -> None:
        while not self._ending:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            with plain:
                try:
                    plain.settimeout(10)
                    with self._context.wrap_socket(plain, server_side=True) as connection:
                        connection.settimeout(0.05)
                        self._connection = connection
                        self._talk(connection)
                except OSError as error:
                    self.errors.append(str(error))
                finally:
                    self._connection = None

    def _talk(self, connection: ssl.SSLSocket) -> None:
        buffer = bytearray()
        schemas: set[int] = set()
        replayed = live = 0
        while True:
            while not self._commands.empty():
                connection.sendall(self._commands.get())
            try:
                data = connection.recv(65536)
            except TimeoutError:
                continue
            if not data:
                return
            buffer += data
            before = replayed, live
            for kind, payload in wire.take(buffer):
                if kind == wire.BYE:
                    self.byes += 1
                    self.goodbyes.append(wire.unpack_json(payload))
                    return
                if kind == wire.FRAME:
                    frame = wire.unpack_frame(payload)
                    assert frame[0] in schemas, "frame before its schema"
                    self.frames.append(frame)
                    if frame[3] & wire.REPLAYED:
                        replayed = frame[1]
                    else:
                        live = frame[1]
                else:
                    self._hear(connection, kind, wire.unpack_json(payload), schemas)
            if before != (replayed, live) and self.auto_ack:
                connection.sendall(wire.pack_ack(replayed, live))

    def _hear(self, connection: ssl.SSLSocket, kind: int, body: dict[str, object], schemas: set[int]) -> None:
        if kind == wire.HELLO:
            self.hellos.append(body)
            if self.refuse or body["token"] != TOKEN:
                code = self.refuse or "unknown"
                more: dict[str, object] = {"servers": self.servers} if self.servers else {}
                connection.sendall(wire.pack_json(wire.REFUSED, {"code": code, "reason": "no", **more}))
                connection.close()
                return
            welcome: dict[str, object] = {"link": len(self.hellos), "seen": 0, "interval_ms": self.interval_ms}
            welcome |= {"time_ms": int(time.time() * 1000), "window_ms": self.window_ms, "skew_ms": 0}
            welcome["replay_per_s"] = self.replay_per_s
            if self.servers:
                welcome["servers"] = self.servers
            connection.sendall(wire.pack_json(wire.WELCOME, welcome))
        elif kind == wire.SCHEMA:
            columns = body["columns"]
            assert isinstance(columns, list)
            assert isinstance(body["id"], int)
            self.schemas[body["id"]] = columns
            schemas.add(body["id"])
        elif kind == wire.REPLY:
            self.replies[str(body["id"])] = body
        elif kind == wire.REPLAY_DONE:
            self.replay_done += 1


def write_config(folder: Path, port: int, **more: object) -> Path:
    """An ``agent.json`` for a server on this port."""
    body: dict[str, object] = {"vm": "vm-1", "token": TOKEN, "servers": [["127.0.0.1", port]], "ca": "ca.pem"}
    body |= {"server_name": NAME, "interval_ms": 200, **more}
    path = folder / "agent.json"
    path.touch(0o600)
    path.write_text(json.dumps(body))
    return path


def start_agent(python: str, bundle: Path, config: Path, **environment: str) -> subprocess.Popen[str]:
    """Run the zipapp with an interpreter, as the installer does."""
    command = [python, "-ISB", str(bundle), "--config", str(config)]
    surroundings = {"PATH": os.environ["PATH"], **environment}
    agent = subprocess.Popen(command, env=surroundings, stderr=subprocess.PIPE, text=True)
    STARTED.append(agent)
    return agent


def end_all() -> None:
    """Kill every agent still running: what a failed test left behind."""
    while STARTED:
        agent = STARTED.pop()
        if agent.poll() is None:
            agent.kill()
            agent.communicate()


def wait_for(condition: Callable[[], object], what: str, seconds: float = 15.0) -> None:
    """Wait until the condition holds; fail the test if it does not in time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"no {what} within {seconds} s"
        time.sleep(0.02)
