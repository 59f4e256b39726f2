"""Who asks: the local operator, or an app by its key."""

from __future__ import annotations

import hashlib
import secrets

from memory_fabric.core.access import Requester, Role
from memory_fabric.core.errors import NotGranted, Unauthenticated
from memory_fabric.core.ledger_ports import App
from memory_fabric.wiring import Home


def operator(home: Home, os_user: str, tenant: str | None) -> Requester:
    """The local operator: whoever may read the home. Bound to one tenant for each request."""
    settings = home.node.settings
    # Where several tenants live and none is named, whatever needs one refuses.
    name = settings.tenant(tenant).name if tenant or len(settings.tenants) == 1 else ""
    return Requester(f"os:{os_user}", name, Role.OPERATOR, frozenset(), all_subjects=True)


def authenticate(home: Home, key: str) -> Requester:
    """The app behind an API key.

    Raises:
        Unauthenticated: ``key-unknown``; the same for every way in which a key can be wrong.
    """
    return _app(home, key).requester


def sign_in(home: Home, key: str) -> App:
    """The officer behind an API key of role compliance.

    Raises:
        Unauthenticated: ``key-unknown``.
        NotGranted: ``console-not-granted``, a key of another role.
    """
    app = _app(home, key)
    if app.requester.role is not Role.COMPLIANCE:
        raise NotGranted(
            "console-not-granted",
            f"This key is of role {app.requester.role}; the console is for role compliance.",
            "Sign in with a key that the operator made with "
            "`memory-fabric app add NAME --role compliance`.",
        )
    return app


def still_valid(home: Home, app: App) -> bool:
    """Whether the key that somebody signed in with still opens what it did."""
    return home.node.ledger.app(app.key_id) == app


def _app(home: Home, key: str) -> App:
    key_id, _, secret = key.removeprefix("mf_").partition("_")
    app = home.node.ledger.app(key_id)
    given = hashlib.sha256(secret.encode()).hexdigest()
    if app is None or not secrets.compare_digest(app.key_hash, given):
        raise Unauthenticated(
            "key-unknown",
            "This API key is not known here.",
            "Send `Authorization: Bearer <key>` with a key from `memory-fabric app add`.",
        )
    return app
