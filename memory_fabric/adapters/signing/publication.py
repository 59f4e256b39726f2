"""A publication folder: where officers sign rules, and from which sites install them.

    metadata/    N.root.json, N.targets.json, N.snapshot.json, timestamp.json   a TUF repository
    targets/     the files of the bundles, each under its digest
    drafts/      root.json, targets.json   what has not enough signatures yet

It may lie on a share, in version control or on a stick: nothing in it is secret, and nobody who
writes there can put rules in force without the officers' keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets, Timestamp

from memory_fabric.adapters.cedar.bundle import Bundle
from memory_fabric.adapters.files import replace_file
from memory_fabric.adapters.signing.drafts import (
    Parsed,
    check_ends,
    check_holder,
    damaged,
    draft_missing,
    drafted_root,
    names_of,
    parsed,
)
from memory_fabric.adapters.signing.metadata import (
    OFFLINE_DAYS,
    TIMESTAMP_DAYS,
    digests,
    files_of,
    fingerprint,
    keys_of,
    new_snapshot,
    new_targets,
    new_timestamp,
    roots_in,
    signers_of,
    to_bytes,
    verified_chain,
)
from memory_fabric.adapters.signing.officers import OfficerKey, officer_of
from memory_fabric.core.errors import InputError


@dataclass(frozen=True)
class Signed:
    """How a draft stands.

    Attributes:
        what: ``root`` or ``rules``.
        version: that it would have.
        signers: whose signatures count, by name.
        missing: how many more it takes.
    """

    what: str
    version: int
    signers: tuple[str, ...]
    missing: int


@dataclass(frozen=True)
class State:
    """What a publication folder holds.

    Attributes:
        fingerprint: of the first root; sites are told it once, by another way.
        root_version: 0 while the first root is not signed.
        officers, publishers: by name.
        threshold: how many officers it takes.
        version: of the published rules; 0 where there are none.
        ends: when each part ends, by its role.
        drafts: what waits for signatures.
    """

    fingerprint: str
    root_version: int
    officers: tuple[str, ...]
    publishers: tuple[str, ...]
    threshold: int
    version: int
    ends: dict[str, datetime]
    drafts: tuple[Signed, ...]


class Publication:
    """A publication folder that exists. One person at a time writes to it.

    Raises:
        InputError: ``publication-missing``.
    """

    def __init__(self, folder: Path) -> None:
        self._metadata, self._targets = folder / "metadata", folder / "targets"
        self._drafts = folder / "drafts"
        if not (self._metadata.is_dir() and self._targets.is_dir() and self._drafts.is_dir()):
            raise InputError(
                "publication-missing",
                f"{folder} is no publication folder.",
                "Make one with `memory-fabric policy officers new`.",
            )

    @classmethod
    def create(
        cls,
        folder: Path,
        officers: Sequence[SSlibKey],
        threshold: int,
        publishers: Sequence[SSlibKey],
        now: datetime,
    ) -> Publication:
        """A new folder with a draft of its first root, to be signed by the officers.

        Args:
            publishers: who says which rules are newest; every officer, where there is none.

        Raises:
            InputError: ``publication-exists``; ``officers-few``, ``officers-alike``.
        """
        if folder.exists() and any(folder.iterdir()):
            raise InputError("publication-exists", f"{folder} is not empty.", "Name a new folder.")
        draft = drafted_root(now, officers, threshold, publishers)
        for part in ("metadata", "targets", "drafts"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        made = cls(folder)
        made._write(made._drafts / "root.json", to_bytes(draft))
        return made

    def change_officers(
        self,
        officers: Sequence[SSlibKey],
        threshold: int,
        publishers: Sequence[SSlibKey],
        now: datetime,
    ) -> Signed:
        """Draft the next root: enough of those before and enough of those to come sign it.

        Raises:
            InputError: ``officers-few``, ``officers-alike``, ``root-unsigned``.
        """
        root = self._root()
        draft = drafted_root(now, officers, threshold, publishers, root.version + 1)
        self._write(self._drafts / "root.json", to_bytes(draft))
        return self._of_root(draft)

    def sign_root(self, key: OfficerKey) -> Signed:
        """Sign the drafted root; with the last signature it is in force.

        Raises:
            InputError: ``draft-missing``, ``officer-unknown``, ``signed-twice``.
        """
        draft = self._draft("root", Metadata[Root].from_bytes)
        judges = [draft, *self._roots()[-1:]]
        holders = {keyid for one in judges for keyid in one.signed.roles["root"].keyids}
        check_holder(key, holders, draft.signatures)
        draft.sign(key.signer, append=True)
        signed = self._of_root(draft)
        if signed.missing:
            self._write(self._drafts / "root.json", to_bytes(draft))
        else:
            self._write(self._metadata / f"{draft.signed.version}.root.json", to_bytes(draft))
            (self._drafts / "root.json").unlink()
        return signed

    def sign_rules(
        self, bundle: Bundle, key: OfficerKey, now: datetime, replace: bool = False
    ) -> Signed:
        """Sign a bundle as the next version of the rules.

        Args:
            bundle: passed all that it must; this only signs.
            replace: begin anew where a draft of other rules waits.

        Raises:
            InputError: ``root-unsigned``, ``officer-unknown``, ``signed-twice``, ``draft-other``.
        """
        root = self._root()
        path = self._drafts / "targets.json"
        if path.exists() and not replace:
            draft = self._draft("targets", Metadata[Targets].from_bytes)
            if files_of(draft) != digests(bundle):
                names = ", ".join(self._of_rules(root, draft).signers) or "nobody"
                raise InputError(
                    "draft-other",
                    f"Other rules wait for signatures here, signed by {names}.",
                    "Sign the same bundle, or begin anew with --replace.",
                )
        else:
            draft = new_targets(now, self._version() + 1, bundle)
        check_holder(key, root.roles["targets"].keyids, draft.signatures)
        draft.sign(key.signer, append=True)
        for name, digest in files_of(draft).items():
            folder, _, base = name.rpartition("/")
            kept = self._targets / folder / f"{digest}.{base}"
            kept.parent.mkdir(parents=True, exist_ok=True)
            self._write(kept, bundle.files[name].encode())
        self._write(path, to_bytes(draft))
        return self._of_rules(root, draft)

    def publish(self, key: OfficerKey, now: datetime, offline: bool = False) -> State:
        """Say which rules are the newest: the draft, where one is signed by enough officers, or
        those published before, for as long again.

        Args:
            offline: for 30 days, not 7: sites are brought them on a stick.

        Raises:
            InputError: ``root-unsigned``, ``publisher-unknown``, ``signatures-missing``,
                ``signatures-ended``; ``draft-missing``: there are no rules at all.
        """
        root = self._root()
        if key.officer.key_id not in root.roles["timestamp"].keyids:
            names = ", ".join(officer_of(one).name for one in keys_of(root, "timestamp"))
            raise InputError(
                "publisher-unknown", "This key may not publish here.", f"It takes a key of {names}."
            )
        path = self._drafts / "targets.json"
        if path.exists():
            rules = self._draft("targets", Metadata[Targets].from_bytes)
        elif version := self._version():
            rules = self._read(f"{version}.targets.json", Metadata[Targets].from_bytes)
        else:
            raise draft_missing()
        signed = self._of_rules(root, rules)
        if signed.missing:
            raise InputError(
                "signatures-missing",
                f"Of today's officers {', '.join(signed.signers) or 'nobody'} signed the rules; it "
                f"takes {root.roles['targets'].threshold}.",
                "Have another officer sign the same bundle with `policy sign`.",
            )
        check_ends(root, rules.signed, now)
        version = signed.version
        self._write(self._metadata / f"{version}.targets.json", to_bytes(rules))
        days = OFFLINE_DAYS if offline else TIMESTAMP_DAYS
        newest = self._count("snapshot") + 1
        snapshot = new_snapshot(now, newest, version, days)
        snapshot.sign(key.signer)
        self._write(self._metadata / f"{newest}.snapshot.json", to_bytes(snapshot))
        timestamp = new_timestamp(now, newest, days)
        timestamp.sign(key.signer)
        self._write(self._metadata / "timestamp.json", to_bytes(timestamp))
        path.unlink(missing_ok=True)
        return self.state()

    def state(self) -> State:
        """What is in it."""
        drafts: list[Signed] = []
        if (self._drafts / "root.json").exists():
            drafts.append(self._of_root(self._draft("root", Metadata[Root].from_bytes)))
        roots = self._roots()
        first = roots[0] if roots else self._draft("root", Metadata[Root].from_bytes)
        root = roots[-1].signed if roots else first.signed
        if (self._drafts / "targets.json").exists():
            rules = self._draft("targets", Metadata[Targets].from_bytes)
            drafts.append(self._of_rules(root, rules))
        ends = {"root": root.expires}
        version = self._version()
        if version and (self._metadata / "timestamp.json").exists():
            targets = self._read(f"{version}.targets.json", Metadata[Targets].from_bytes)
            ends["targets"] = targets.signed.expires
            stamp = self._read("timestamp.json", Metadata[Timestamp].from_bytes)
            ends["timestamp"] = stamp.signed.expires
        return State(
            fingerprint=fingerprint(to_bytes(first)),
            root_version=len(roots),
            officers=tuple(officer_of(key).name for key in keys_of(root, "targets")),
            publishers=tuple(officer_of(key).name for key in keys_of(root, "timestamp")),
            threshold=root.roles["targets"].threshold,
            version=version,
            ends=ends,
            drafts=tuple(drafts),
        )

    # --- what is there -----------------------------------------------------------------------

    def _roots(self) -> list[Metadata[Root]]:
        roots = [
            parsed(f"{number}.root.json", content, Metadata[Root].from_bytes)
            for number, content in enumerate(roots_in(self._metadata), start=1)
        ]
        try:
            if roots:
                verified_chain(roots)
        except (RepositoryError, ValueError):
            raise damaged("metadata/root.json") from None
        return roots

    def _root(self) -> Root:
        roots = self._roots()
        if not roots:
            raise InputError(
                "root-unsigned",
                "The officers have not signed their root yet.",
                "Have them run `memory-fabric policy officers sign`.",
            )
        return roots[-1].signed

    def _count(self, role: str) -> int:
        found = (path.name.partition(".")[0] for path in self._metadata.glob(f"*.{role}.json"))
        return max((int(number) for number in found if number.isdigit()), default=0)

    def _version(self) -> int:
        return self._count("targets")

    def _draft(self, role: str, parse: Callable[[bytes], Parsed]) -> Parsed:
        path = self._drafts / f"{role}.json"
        if not path.exists():
            raise draft_missing()
        return parsed(f"drafts/{role}.json", path.read_bytes(), parse)

    def _read(self, name: str, parse: Callable[[bytes], Parsed]) -> Parsed:
        return parsed(f"metadata/{name}", (self._metadata / name).read_bytes(), parse)

    def _of_root(self, draft: Metadata[Root]) -> Signed:
        judges = [draft.signed, *(before.signed for before in self._roots()[-1:])]
        counted = [signers_of(root, "root", draft) for root in judges]
        signed = {key.keyid: key for keys in counted for key in keys}
        missing = max(
            root.roles["root"].threshold - len(keys)
            for root, keys in zip(judges, counted, strict=True)
        )
        return Signed("root", draft.signed.version, names_of(signed.values()), max(0, missing))

    def _of_rules(self, root: Root, draft: Metadata[Targets]) -> Signed:
        signed = signers_of(root, "targets", draft)
        missing = max(0, root.roles["targets"].threshold - len(signed))
        return Signed("rules", draft.signed.version, names_of(signed), missing)

    def _write(self, path: Path, content: bytes) -> None:
        try:
            replace_file(path, content, durable=True)
            path.chmod(0o644)
        except OSError as error:
            raise InputError(
                "file-unwritable",
                f"{path} cannot be written ({error.strerror}).",
                "Make sure that the folder can be written to.",
            ) from None
