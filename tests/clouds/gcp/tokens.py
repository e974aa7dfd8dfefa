"""Service accounts and access tokens, as Google's token server gives them. In: a signed request. Out: a token."""

import base64
import json
import time
import uuid
from functools import cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.clouds.gcp.faces import Json

EMAIL = "suite@mcisd-test.iam.gserviceaccount.com"


@cache
def private_key(which: str) -> rsa.RSAPrivateKey:
    """One key per name and process, as they take a while to make."""
    return rsa.generate_private_key(65537, 2048)


def key_file(token_uri: str, project: str, which: str = "good") -> str:
    """What Google gives as the JSON file of a service account's key."""
    pem = private_key(which).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return json.dumps(
        {
            "type": "service_account", "project_id": project, "private_key_id": "1", "private_key": pem.decode(),
            "client_email": EMAIL, "client_id": "1", "token_uri": token_uri,
        }
    )  # fmt: skip


class Tokens:
    """``skew`` is how many seconds our clock is ahead of the caller's, ``revoked`` whether the key was deleted,
    ``broken`` whether the server is out of order.
    """

    def __init__(self) -> None:
        self.given: dict[str, float] = {}
        self.skew = 0.0
        self.revoked = False
        self.broken = False

    def grant(self, assertion: str) -> tuple[int, Json]:
        """Status and body of the answer to a JWT bearer grant (RFC 7523)."""
        if self.broken:
            return 503, {"error": "server_error"}
        try:
            head, claims, signature = assertion.split(".")
            public = private_key("good").public_key()
            public.verify(_decode(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
            said = json.loads(_decode(claims))
        except (InvalidSignature, ValueError):
            return _refused("Invalid JWT Signature.")
        if self.revoked or said["iss"] != EMAIL:
            return _refused("Invalid JWT Signature.")
        at = time.time() + self.skew
        if not (said["iat"] - 300 <= at <= said["exp"] and said["exp"] - said["iat"] <= 3600):
            return _refused(
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
                "Check your iat and exp values in the JWT claim."
            )
        token = f"ya29.{uuid.uuid4().hex}"
        self.given[token] = time.time() + 3600
        return 200, {"access_token": token, "expires_in": 3599, "token_type": "Bearer"}

    def admits(self, header: str) -> bool:
        kind, _, token = header.partition(" ")
        return kind == "Bearer" and self.given.get(token, 0.0) > time.time()


def _refused(why: str) -> tuple[int, Json]:
    return 400, {"error": "invalid_grant", "error_description": why}


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
