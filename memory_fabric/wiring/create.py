"""Making a home: built beside its place and moved there whole, so that no half one is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from memory_fabric.adapters.clock import SystemClock
from memory_fabric.adapters.embedders import default_embedder
from memory_fabric.adapters.files import replace_file
from memory_fabric.adapters.iso3166 import check_region
from memory_fabric.adapters.keystore import SqliteKeyStore
from memory_fabric.adapters.lance import LanceStack
from memory_fabric.adapters.ledger import SqlLedger
from memory_fabric.adapters.rootkeys import ProvidedRootKeys, nobody_to_ask
from memory_fabric.adapters.roster import RosterFile
from memory_fabric.config import Settings, Tenant, new_document, starter_classes
from memory_fabric.core.errors import InputError
from memory_fabric.core.key_ports import RootKey, RootKeys
from memory_fabric.core.model_ports import Embedder
from memory_fabric.core.places import Roster, Site, Tier, check_name
from memory_fabric.vault.identity import (
    SEALING_SECRET,
    SIGNING_SECRET,
    Identity,
    Signer,
    new_identity,
    new_signing_secret,
)
from memory_fabric.vault.keyring import Keyring
from memory_fabric.vault.rotation import new_root
from memory_fabric.wiring.making import check_free, home_in_making
from memory_fabric.wiring.paths import Paths, model_directory
from memory_fabric.wiring.policies import install_policies, starter_policies

GRID_SECRET = "grid"
"""Name in the keyring of the grid key's seed, at the one site that signs the roster."""
ACCEPTED_GRID = "grid-accepted"
"""Name in the keyring of the public grid key that `site link` brought from another site."""


def create_home(
    path: Path,
    *,
    site_id: str,
    region: str,
    tenants: list[str],
    tier: str = "edge",
    policies: Path | None = None,
    memberships: dict[str, str] | None = None,
    instruments: dict[str, str] | None = None,
    transfer_risk_assessed: bool = False,
    embedder: Embedder | None = None,
    provider: str = "file",
    provider_settings: Mapping[str, Any] | None = None,
    ask: Callable[[str], str] = nobody_to_ask,
) -> Settings:
    """Make a site's home, with keys, an empty stack, a ledger, a bundle and a roster of one.

    Args:
        path: must not exist, or be an empty directory.
        policies: a bundle; the starter bundle where left out.
        embedder: what its vectors come from; the best one installed where left out. A site with
            an embedder of one's own is opened with that embedder.
        provider: the kind of its root key, with its settings for ``site.toml``.
        ask: asks the operator for a passphrase or a PIN.

    Raises:
        HomeError: ``home-exists``.
        InputError: ``region-unknown``, ``name-invalid``, ``tier-unknown``.
        PolicyInvalid: the bundle does not pass its checks, its cases or its properties.
    """
    check_free(path)
    if tier not in list(Tier):
        raise InputError("tier-unknown", "There is no such tier.", f"Use {', '.join(Tier)}.")
    if not tenants:
        raise InputError("tenant-missing", "The site has no tenant.", "Name one with --tenant.")
    place = check_region(region)
    for tenant in tenants:
        check_name(tenant, "tenant")
    if policies:
        from memory_fabric.wiring.proofs import (
            check_whole,
        )  # the prover: only for rules of one's own

        check_whole(policies)
    with home_in_making(path) as building:
        building.policies.parent.mkdir(mode=0o700)
        engine = install_policies(policies or starter_policies(), building)
        settings = Settings(
            site_id=check_name(site_id, "site"),
            region=place,
            tier=Tier(tier),
            tenants={name: Tenant(name, engine.purposes[0]) for name in tenants},
            classes=tuple(
                label_class
                for name in tenants
                for label_class in starter_classes(place, name, engine.purposes, engine.specials)
            ),
            instruments=instruments or {},
            memberships=memberships or {},
            transfer_risk_assessed=transfer_risk_assessed,
            keys={provider: provider_settings} if provider_settings else {},
        )
        # Whoever is asked for a new passphrase is asked once, though it is used twice.
        roots = ProvidedRootKeys(settings.site_id, building.keys, settings.keys, cache(ask))
        root = new_root(provider, SystemClock().now())
        try:
            roots.create(root)
            _furnish(
                building, path, settings, roots, root,
                embedder or default_embedder(model_directory()),
            )  # fmt: skip
        except BaseException:
            roots.destroy(root)
            raise
    return settings


def _furnish(
    paths: Paths,
    final: Path,
    settings: Settings,
    roots: RootKeys,
    root: RootKey,
    embedder: Embedder,
) -> None:
    """Keys, stack, ledger, roster and settings of a new home."""
    store = SqliteKeyStore.create(paths.keyring)
    identity, grid = new_identity(), new_signing_secret()
    grid_signer = Signer(grid)
    try:
        keyring = Keyring.create(store, roots, root, settings.site_id, SystemClock())
        keyring.add_secret(SIGNING_SECRET, identity.signing_secret)
        keyring.add_secret(SEALING_SECRET, identity.sealing_secret)
        keyring.add_secret(GRID_SECRET, grid)
    finally:
        store.close()
    LanceStack.create(paths.stack)
    me = site_card(settings, embedder.id, identity, final.resolve())
    roster = Roster(1, {me.site_id: me})
    RosterFile(paths.roster).save(roster, grid_signer.sign, grid_signer.public)
    replace_file(paths.settings, new_document(settings).encode(), durable=True)
    signer = Signer(identity.signing_secret)
    ledger = SqlLedger.create(
        paths.ledger, settings.site_id, signer.sign, signer.public, paths.anchor
    )
    ledger.close()


def site_card(settings: Settings, embedder: str, identity: Identity | Site, home: Path) -> Site:
    """The site as its own settings describe it."""
    return Site(
        site_id=settings.site_id,
        region=settings.region,
        tier=settings.tier,
        tenants=frozenset(settings.tenants),
        embedder=embedder,
        signing_key=identity.signing_key,
        sealing_key=identity.sealing_key,
        address=str(home),
        instruments=settings.instruments,
        memberships=settings.memberships,
        transfer_risk_assessed=settings.transfer_risk_assessed,
    )
