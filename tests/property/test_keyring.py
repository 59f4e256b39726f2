"""A destroyed key stays destroyed and a living one alive, through any acts and crashes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from memory_fabric.core.errors import HomeError
from memory_fabric.core.key_ports import RootKey, WrappedKey
from memory_fabric.vault.keyring import Keyring
from memory_fabric.vault.keytable import HeldKey
from memory_fabric.vault.rotation import new_root
from tests.fakes.clock import ManualClock
from tests.fakes.keystore import ROOT, MemoryKeyStore, MemoryRootKeys


class Crash(BaseException):
    """The process ends here."""


class Fuse:
    """Ends the process at one of the next durable steps, just before it or just after."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.done_first = False

    def step(self, act: Callable[[], None]) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                if self.done_first:
                    act()
                raise Crash
        act()


class Store(MemoryKeyStore):
    def __init__(self, fuse: Fuse) -> None:
        super().__init__()
        self.fuse = fuse

    def change(self, add: Sequence[WrappedKey], remove: Sequence[bytes] = ()) -> None:
        self.fuse.step(lambda: super(Store, self).change(add, remove))

    def replace(self, rows: Iterable[WrappedKey]) -> None:
        whole = list(rows)
        self.fuse.step(lambda: super(Store, self).replace(whole))


class Roots(MemoryRootKeys):
    """``reachable`` is false while the root keys are out of reach for everything but opening."""

    def __init__(self, fuse: Fuse) -> None:
        super().__init__()
        self.fuse = fuse
        self.reachable = True

    def create(self, root: RootKey, passphrase: str | None = None) -> None:
        self.fuse.step(lambda: super(Roots, self).create(root, passphrase))

    def destroy(self, root: RootKey) -> None:
        if not self.reachable:
            raise HomeError("hsm-token-missing", "The token is out.")
        self.fuse.step(lambda: super(Roots, self).destroy(root))


class Site:
    """A keyring, its log as far as it matters here, and what must be true of them."""

    def __init__(self) -> None:
        self.fuse = Fuse()
        self.store, self.roots = Store(self.fuse), Roots(self.fuse)
        self.clock = ManualClock()
        self.keyring = Keyring.create(self.store, self.roots, ROOT, "fra-1", self.clock)
        self.log: dict[str, object] = {"root": "", "epoch": 1, "erased": set()}
        self.living: dict[str, HeldKey] = {}
        self.dead: set[bytes] = set()

    def ensure(self, names: Sequence[str]) -> None:
        self.keyring.ensure(("acme", name) for name in names)
        for name in names:
            (key,) = self.keyring.keys("acme", [name])
            assert self.living.setdefault(name, key) == key

    def destroy(self, names: Sequence[str]) -> None:
        doomed = [self.living.pop(name).id for name in names if name in self.living]
        self.dead.update(doomed)  # once it is recorded it happens, whatever comes between
        self.keyring.destroy_keys(doomed)

    def renew(self, _: object) -> None:
        self.log["epoch"] = self.keyring.epoch + 1
        self.keyring.renew_epoch()

    def rotate(self, _: object) -> None:
        root = new_root(ROOT.provider, self.clock.now())
        self.keyring.rotation.prepare(root)
        self.fuse.step(lambda: self.log.update(root=root.id))
        self.keyring.rotation.adopt()
        self.keyring.rotation.finish()

    def reach(self, _: object) -> None:
        self.roots.reachable = not self.roots.reachable

    def reopen(self, _: object = None) -> None:
        """What opening a site does to its keys."""
        self.fuse.left = None
        made = {name: key.id for name, key in self.living.items()}
        self.keyring = Keyring.open(self.store, self.roots, "fra-1", self.clock)
        self.keyring.rotation.resume(str(self.log["root"]))
        if self.keyring.epoch < int(str(self.log["epoch"])):
            self.keyring.renew_epoch(int(str(self.log["epoch"])))
        self.keyring.destroy_keys(self.dead)
        for name in self.keyring.subjects("acme"):  # made, and the answer was lost
            self.living.setdefault(name, self.keyring.keys("acme", [name])[0])
        assert made == {name: self.living[name].id for name in made}

    def check(self) -> None:
        assert self.keyring.subjects("acme") == sorted(self.living)
        for key in self.living.values():
            assert self.keyring.by_id(key.id) == key
        for key_id in self.dead:
            assert self.keyring.by_id(key_id) is None
            assert not self.keyring.holds(key_id)
        in_force = self.keyring.epoch_key.root
        named = {root.id for root in self.keyring.roots_left}
        assert set(self.roots.made) <= {in_force.id} | named
        if self.roots.reachable:
            self.keyring.rotation.finish()
            assert set(self.roots.made) == {in_force.id}


names = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5, unique=True)
acts = st.one_of(
    st.tuples(st.just("ensure"), names),
    st.tuples(st.just("destroy"), names),
    st.tuples(st.sampled_from(["renew", "rotate", "reopen", "reach"]), st.none()),
)
crashes = st.one_of(st.none(), st.tuples(st.integers(0, 5), st.booleans()))


@given(st.lists(st.tuples(acts, crashes), max_size=12))
@settings(max_examples=300)
def test_through_any_acts_and_crashes(steps: list[tuple[tuple[str, object], object]]) -> None:
    site = Site()
    for (act, argument), crash in steps:
        if isinstance(crash, tuple):
            site.fuse.left, site.fuse.done_first = crash
        try:
            getattr(site, act)(argument)
        except Crash:
            site.reopen()
        site.fuse.left = None
        site.check()
    site.reopen()
    site.check()


@given(st.lists(st.integers(0, 400), max_size=60, unique=True), st.booleans())
@settings(max_examples=20)
def test_of_many_rows_exactly_the_named_are_destroyed(gone: list[int], renewed: bool) -> None:
    site = Site()
    for start in range(0, 400, 7):  # many rows that are not full, and some brought together
        site.ensure([f"s{number}" for number in range(start, min(start + 7, 400))])
    if renewed:
        site.renew(None)
    site.destroy([f"s{number}" for number in gone])
    site.check()
    site.reopen()
    site.check()


def test_an_older_row_put_back_revives_nobody_once_the_log_is_read() -> None:
    site = Site()
    site.ensure(["a", "b"])
    before = dict(site.store.entries)
    site.destroy(["a"])
    site.store.entries = before
    site.reopen()
    site.check()
