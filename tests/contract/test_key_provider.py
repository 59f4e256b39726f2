"""What every kind of root key keeps, and what those on disk leave there."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from memory_fabric.adapters.rootkeys import GROUP, ProvidedRootKeys, kinds
from memory_fabric.adapters.rootkeys.file import FileRootKeys
from memory_fabric.adapters.rootkeys.passphrase import PassphraseRootKeys
from memory_fabric.adapters.rootkeys.pkcs11 import TokenRootKeys
from memory_fabric.core.errors import HomeError, InputError, MemoryFabricError
from memory_fabric.core.key_ports import KeyPlace, RootKey, RootKeyKind
from tests.fakes.clock import ManualClock
from tests.fakes.cloud_keys import CloudRootKeys
from tests.fakes.token import PIN, token

PASSPHRASE = "correct horse battery staple"


def a_place(folder: Path, passphrase: str = PASSPHRASE, **settings: str) -> KeyPlace:
    return KeyPlace("fra-1", folder, settings, lambda _: passphrase)


def an_id() -> str:
    return secrets.token_hex(8)


Make = Callable[[], RootKeyKind]


@pytest.fixture(params=["file", "passphrase", "pkcs11", "another package's"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes the kind anew each time, as another process would."""
    kind: Callable[[KeyPlace], RootKeyKind] = CloudRootKeys
    if request.param in kinds():
        (point,) = entry_points(group=GROUP, name=request.param)
        kind = point.load()
    place = token(tmp_path) if request.param == "pkcs11" else a_place(tmp_path)
    return lambda: kind(place)


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(MemoryFabricError) as refused:
        act()
    return refused.value.code


class TestEveryKind:
    def test_unwraps_what_it_wrapped_also_when_made_anew(self, make: Make) -> None:
        name, key = an_id(), secrets.token_bytes(32)
        make().create(name)
        wrapped = make().open(name).wrap(key, b"context")
        assert key not in wrapped
        assert make().open(name).unwrap(wrapped, b"context") == key
        assert make().open(name).wrap(key, b"context") != wrapped

    def test_refuses_everything_else(self, make: Make) -> None:
        kind, name, other = make(), an_id(), an_id()
        kind.create(name)
        kind.create(other)
        wrapped = kind.open(name).wrap(secrets.token_bytes(32), b"context")
        for holder, sealed, context in [
            (other, wrapped, b"context"),
            (name, wrapped, b"elsewhere"),
            (name, wrapped[:-1] + bytes([wrapped[-1] ^ 1]), b"context"),
            (name, wrapped[:9], b"context"),
            (name, b"", b"context"),
        ]:
            with pytest.raises(HomeError) as wrong:
                kind.open(holder).unwrap(sealed, context)
            assert wrong.value.code == "root-key-wrong"

    def test_destroys_one_and_leaves_the_other(self, make: Make) -> None:
        kind, old, new = make(), an_id(), an_id()
        kind.create(old)
        kind.create(new)
        key = secrets.token_bytes(32)
        wrapped = kind.open(new).wrap(key, b"")
        for _ in range(2):  # what is gone already is no error
            kind.destroy(old)
            assert make().open(new).unwrap(wrapped, b"") == key
            assert code_of(lambda: make().open(old)) in {"root-key-missing", "root-key-wrong"}
        third = an_id()
        kind.create(third)
        kind.destroy(new)
        assert code_of(lambda: make().open(new)) in {"root-key-missing", "root-key-wrong"}
        kind.destroy(third)
        assert code_of(lambda: make().open(third)) == "root-key-missing"

    def test_never_overwrites_one(self, make: Make) -> None:
        kind, name, key = make(), an_id(), secrets.token_bytes(32)
        kind.create(name)
        wrapped = kind.open(name).wrap(key, b"")
        with pytest.raises(HomeError) as second:
            kind.create(name)
        assert second.value.code == "root-key-exists"
        assert make().open(name).unwrap(wrapped, b"") == key

    def test_a_missing_one_is_an_error(self, make: Make) -> None:
        assert code_of(lambda: make().open(an_id())) == "root-key-missing"


class TestFile:
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
    def test_is_its_owner_s_alone(self, tmp_path: Path, mode: int) -> None:
        kind, name = FileRootKeys(a_place(tmp_path)), an_id()
        kind.create(name)
        path = tmp_path / "root.key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(mode)
        assert code_of(lambda: kind.open(name)) == "root-key-readable"

    def test_linked_cut_or_foreign_is_an_error(self, tmp_path: Path) -> None:
        kind, name = FileRootKeys(a_place(tmp_path)), an_id()
        kind.create(name)
        path = tmp_path / "root.key"
        assert code_of(lambda: kind.open(an_id())) == "root-key-wrong"
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
        assert code_of(lambda: kind.open(name)) == "root-key-missing"
        path.unlink()
        (tmp_path / "elsewhere").rename(path)
        os.truncate(path, 39)
        assert code_of(lambda: kind.open(name)) == "root-key-wrong"

    def test_destroying_leaves_no_byte_and_one_name(self, tmp_path: Path) -> None:
        kind, old, new = FileRootKeys(a_place(tmp_path)), an_id(), an_id()
        kind.create(old)
        before = (tmp_path / "root.key").read_bytes()
        kind.create(new)
        with (tmp_path / "root.key").open("rb") as held:
            kind.destroy(old)
            assert held.read() == bytes(len(before))
        assert [path.name for path in tmp_path.iterdir()] == ["root.key"]
        kind.open(new)

    def test_destroying_that_a_crash_cut_short_is_ended_by_the_next(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kind, old, new = FileRootKeys(a_place(tmp_path)), an_id(), an_id()
        kind.create(old)
        kind.create(new)

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as crash:
            crash.setattr(Path, "unlink", die)
            with pytest.raises(KeyboardInterrupt):
                kind.destroy(old)
        assert not any((tmp_path / "root.key").read_bytes())
        kind.open(new)
        kind.destroy(old)
        assert [path.name for path in tmp_path.iterdir()] == ["root.key"]
        kind.create(an_id())


class TestPassphrase:
    def test_a_wrong_one_and_a_changed_header_are_refused(self, tmp_path: Path) -> None:
        kind, name = PassphraseRootKeys(a_place(tmp_path)), an_id()
        kind.create(name)
        wrong = PassphraseRootKeys(a_place(tmp_path, "another passphrase"))
        assert code_of(lambda: wrong.open(name)) == "passphrase-wrong"
        path = tmp_path / "root.passphrase"
        intact = path.read_bytes()
        assert PASSPHRASE.encode() not in intact
        for at in range(8, len(intact), 29):
            path.write_bytes(intact[:at] + bytes([intact[at] ^ 1]) + intact[at + 1 :])
            assert code_of(lambda: kind.open(name)) == "passphrase-wrong"
        path.write_bytes(intact.replace(b'"memory_kib":65536', b'"memory_kib":99999999'))
        assert code_of(lambda: kind.open(name)) == "passphrase-wrong"

    def test_too_short_a_one_makes_no_root_key(self, tmp_path: Path) -> None:
        with pytest.raises(InputError) as weak:
            PassphraseRootKeys(a_place(tmp_path, "short")).create(an_id())
        assert weak.value.code == "passphrase-weak"
        assert list(tmp_path.iterdir()) == []

    def test_comes_from_the_file_that_the_settings_name(self, tmp_path: Path) -> None:
        file, name = tmp_path / "passphrase", an_id()
        file.write_text(PASSPHRASE + "\n")
        file.chmod(0o600)
        named = PassphraseRootKeys(a_place(tmp_path, "nobody is asked", file=str(file)))
        named.create(name)
        asked = PassphraseRootKeys(a_place(tmp_path))
        wrapped = named.open(name).wrap(bytes(32), b"")
        assert asked.open(name).unwrap(wrapped, b"") == bytes(32)
        file.chmod(0o644)
        assert code_of(lambda: named.open(name)) == "passphrase-readable"
        file.unlink()
        assert code_of(lambda: named.open(name)) == "passphrase-missing"


class TestChoosing:
    def root(self, provider: str) -> RootKey:
        return RootKey(provider, an_id(), ManualClock().now())

    def test_finds_what_is_installed_and_names_it_where_it_is_not(self, tmp_path: Path) -> None:
        roots = ProvidedRootKeys("fra-1", tmp_path)
        assert {"file", "passphrase", "pkcs11"} <= set(kinds())
        with pytest.raises(InputError, match="pkcs11") as unknown:
            roots.create(self.root("abacus"))
        assert unknown.value.code == "key-provider-unknown"

    def test_refuses_settings_that_the_kind_does_not_have(self, tmp_path: Path) -> None:
        roots = ProvidedRootKeys("fra-1", tmp_path, {"file": {"colour": "blue"}})
        assert code_of(lambda: roots.create(self.root("file"))) == "settings-invalid"

    def test_says_that_nobody_can_be_asked(self, tmp_path: Path) -> None:
        roots = ProvidedRootKeys("fra-1", tmp_path)
        assert code_of(lambda: roots.create(self.root("passphrase"))) == "passphrase-missing"
        roots.create(self.root("passphrase"), PASSPHRASE)


class TestToken:
    def test_says_what_is_wrong_with_it(self, tmp_path: Path) -> None:
        place, name = token(tmp_path), an_id()
        TokenRootKeys(place).create(name)
        wrong_pin = token(tmp_path, "not-the-pin")
        for changed, code in [
            (wrong_pin, "hsm-pin-wrong"),
            (with_setting(place, token="elsewhere"), "hsm-token-missing"),
            (with_setting(place, module="/nowhere.so"), "hsm-module-missing"),
            (with_setting(place, module=__file__), "hsm-failed"),
        ]:
            assert code_of(lambda changed=changed: TokenRootKeys(changed).open(name)) == code
        assert code_of(lambda: TokenRootKeys(with_setting(place, token=""))) == "settings-invalid"

    def test_takes_its_pin_from_the_file_that_the_settings_name(self, tmp_path: Path) -> None:
        file, name = tmp_path / "pin", an_id()
        file.write_text(PIN + "\n")
        file.chmod(0o600)
        named = with_setting(token(tmp_path, "nobody is asked"), pin_file=str(file))
        TokenRootKeys(named).create(name)
        TokenRootKeys(named).open(name)
        file.unlink()
        assert code_of(lambda: TokenRootKeys(named).open(name)) == "passphrase-missing"

    def test_never_gives_its_key_away(self, tmp_path: Path) -> None:
        kind, name = TokenRootKeys(token(tmp_path)), an_id()
        kind.create(name)
        from pkcs11 import Attribute, AttributeSensitive

        with kind.session() as session:
            key = kind.key(session, name)
            assert key[Attribute.SENSITIVE]
            assert not key[Attribute.EXTRACTABLE]
            with pytest.raises(AttributeSensitive):
                key[Attribute.VALUE]


def with_setting(place: KeyPlace, **settings: str) -> KeyPlace:
    return replace(place, settings={**place.settings, **settings})
