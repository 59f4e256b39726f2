"""Exports on a lease between sites of one machine: out, used, and back again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from memory_fabric.core.errors import MemoryFabricError, NotGranted, Unavailable
from memory_fabric.core.places import Roster
from memory_fabric.flows import export as exporting
from memory_fabric.wiring import Home, read_packages
from memory_fabric.wiring import home as wiring_home
from tests.fakes.clock import ManualClock
from tests.system.homes import ask, cli, recalled, remember, reopened, site

ANNA = "Anna Schmidt"
RAMP = "Anna Schmidt asked for a wheelchair ramp at the side door"
HOURS = "The outpatient desk is open from nine to five"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frankfurt, London and Virginia, linked; Frankfurt remembers four things."""
    made = tmp_path_factory.mktemp("exports")
    folder = made / "grid"
    folder.mkdir()
    for name, region in (("fra-1", "DE"), ("lon-1", "GB"), ("vir-1", "US-VA")):
        site(folder, name, region)
    with reopened(folder / "fra-1") as home:
        ask(home, "link", address=str(folder / "lon-1"))
        ask(home, "link", address=str(folder / "vir-1"))
        remember(home, RAMP, ANNA, label={"purposes": ["care"]})
        remember(home, "Bernd Maurer prefers tea", "Bernd Maurer", label={"purposes": ["care"]})
        health = {"purposes": ["care"], "special": ["health"], "consent": "given"}
        remember(home, "Anna Schmidt has asthma", ANNA, label=health)
        public = {"purposes": ["care"], "personal": False, "data_class": "public"}
        remember(home, HOURS, label=public)
    shutil.copytree(folder, made / "kept")
    return made


@pytest.fixture
def grid(made: Path) -> Path:
    """The three as they were made, in the same place: sites know each other by it."""
    shutil.rmtree(made / "grid")
    shutil.copytree(made / "kept", made / "grid")
    return made / "grid"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring_home, "PEER_WAIT", 0.1)


def run_export(home: Home, to: str = "lon-1", **params: Any) -> dict[str, Any]:
    return ask(home, "export_run", site=to, purpose="care", **params)


def held(home: Home) -> int:
    return int(ask(home, "status")["leased"])


def states(home: Home) -> dict[str, int]:
    found: dict[str, int] = {}
    for lease in ask(home, "lease_list")["leases"]:
        for state, count in lease["rows"].items():
            found[state] = found.get(state, 0) + count
    return found


def sound(*paths: Path) -> bool:
    return all(not cli(path, "site", "verify").code for path in paths)


def test_each_class_leaves_in_the_form_that_policy_explains_and_only_once(grid: Path) -> None:
    with reopened(grid / "fra-1") as home:
        done = {name: run_export(home, name) for name in ("lon-1", "vir-1")}
        for name, exported in done.items():
            for item in exported["classes"]:
                label = {
                    key: item["class"][key]
                    for key in ("data_class", "personal", "special", "purposes", "consent")
                }
                told = ask(
                    home, "explain_policy", act="export", purpose="care", site=name, label=label
                )
                assert item["form"] == told["form"]
                assert item["rows"] == 0 or item["form"] is not None
        again = run_export(home)
        assert (again["rows"], again["packages"]) == (0, [])
        remember(home, "The ramp was built in May", ANNA, label={"purposes": ["care"]})
        assert run_export(home)["rows"] == 1
    assert (done["lon-1"]["rows"], done["vir-1"]["rows"]) == (3, 1)
    forms = {item["form"] for item in done["lon-1"]["classes"] if item["rows"]}
    assert forms == {"vectors_only", "full"}
    assert [rule["id"] for rule in done["vir-1"]["withheld"]].count("eu-no-safeguards") == 1


def test_a_lease_is_found_its_text_fetched_by_permit_and_given_up(grid: Path) -> None:
    with reopened(grid / "fra-1") as home:
        run_export(home)
    with reopened(grid / "lon-1") as home:
        near = recalled(home, "wheelchair ramp", reach="region")
        far = recalled(home, "wheelchair ramp", reach="grid")
        here = recalled(home, "wheelchair ramp", reach="site")
        assert recalled(home, "wheelchair ramp", reach="region", subject=ANNA)["results"] == []
    ramp = next(item for item in near["results"] if "ramp" in str(item["memory"]))
    assert (ramp["site"], ramp["form"]) == ("fra-1", "redacted")
    assert ANNA not in ramp["memory"]
    assert "eu-adequacy" in ramp["rules"]
    assert here["results"] == []
    texts = [item["memory"] for item in far["results"]]
    assert len(texts) == len(set(texts)) == 3

    with reopened(grid / "fra-1") as home:
        fetches = ask(home, "receipts_list", act="recall")["receipts"]
        assert any(item["facts"].get("fetched") == 2 for item in fetches)
        done = ask(home, "label_set", subject=ANNA, change={"consent": "withdrawn"})
        ended = done["leases"]["ended"]
        assert [(item["site"], item["rows"]) for item in ended] == [("lon-1", 1)]
        assert states(home) == {"held": 2, "ended": 1}
    with reopened(grid / "lon-1") as home:
        receipt = ask(home, "receipt_show", id=ended[0]["receipt"])
        assert (receipt["act"], receipt["facts"]["rows"]) == ("lease-end", 1)
        again = recalled(home, "wheelchair ramp", reach="region")
        assert all("ramp" not in str(item["memory"]) for item in again["results"])
        assert held(home) == 2
    assert sound(grid / "fra-1", grid / "lon-1")


def test_home_decides_anew_when_a_text_is_fetched(grid: Path) -> None:
    """What home refuses by now stays a vector; a home out of reach is named."""
    with reopened(grid / "fra-1") as home:
        run_export(home)
        rules = grid / "fra-1" / "bundle" / "policies" / "packs" / "common.cedar"
        text = rules.read_text()
    rules.write_text(
        text + '\n@id("no-recall")\n@title("No recall from abroad")\n@basis("Test")\n'
        'forbid (principal, action in Sov::Action::"share", resource is Sov::Memories)\n'
        'when { context.way == Sov::Way::"recall" && principal.region != resource.home };\n'
    )
    with reopened(grid / "lon-1") as home:
        found = recalled(home, "wheelchair ramp", reach="region")
    bare = [item for item in found["results"] if item["form"] == "vectors_only"]
    assert len(bare) == 2
    assert all(item["memory"] is None and item["leased_from"] == "fra-1" for item in bare)
    assert any(rule["id"] == "no-recall" for item in found["withheld"] for rule in item["rules"])


def test_an_erasure_takes_leases_back(grid: Path) -> None:
    with reopened(grid / "fra-1") as home:
        bernd = recalled(home, "tea", subject="Bernd Maurer")["results"][0]["id"]
        run_export(home)
        one = ask(home, "forget", id=bernd)
        assert [item["rows"] for item in one["leases"]["ended"]] == [1]
        all_of_her = ask(home, "forget", subject=ANNA)
        assert [item["rows"] for item in all_of_her["leases"]["ended"]] == [1]
    with reopened(grid / "lon-1") as home:
        assert held(home) == 1
    assert sound(grid / "fra-1", grid / "lon-1")


def test_whoever_erases_at_the_importer_has_the_lease_removed_there_too(grid: Path) -> None:
    with reopened(grid / "fra-1") as home:
        run_export(home)
    with reopened(grid / "lon-1") as home:
        told = ask(home, "forget", subject=ANNA)
        assert [item["site"] for item in told["elsewhere"]] == ["fra-1"]
        assert held(home) == 2
    with reopened(grid / "fra-1") as home:
        assert states(home) == {"held": 2, "ended": 1}


def test_a_bundle_that_grants_it_no_more_ends_a_lease(grid: Path) -> None:
    with reopened(grid / "fra-1") as home:
        run_export(home)
    rules = grid / "fra-1" / "bundle" / "policies" / "packs" / "common.cedar"
    rules.write_text(
        rules.read_text() + '\n@id("no-exports")\n@title("No exports of people")\n@basis("Test")\n'
        'forbid (principal, action in Sov::Action::"share", resource is Sov::Memories)\n'
        'when { context.way == Sov::Way::"export" && resource.personal };\n'
    )
    told = cli(grid / "fra-1", "lease", "list").json
    assert [(item["site"], item["rows"]) for item in told["ended"]] == [("lon-1", 2)]
    with reopened(grid / "lon-1") as home:
        assert held(home) == 1


def test_an_operator_ends_a_lease(grid: Path) -> None:
    assert cli(grid / "fra-1", "export", "run", "--to", "lon-1", "--purpose", "care").code == 0
    listed = cli(grid / "fra-1", "lease", "list").json["leases"]
    lease = next(item for item in listed if item["form"] == "vectors_only")
    done = cli(grid / "fra-1", "lease", "recall", lease["lease"]).json
    assert [(item["site"], item["rows"]) for item in done["ended"]] == [("lon-1", 2)]
    unknown = cli(grid / "fra-1", "lease", "recall", "nothing")
    assert (unknown.code, unknown.json["code"]) == (1, "lease-unknown")


@pytest.mark.usefixtures("impatient")
def test_an_importer_out_of_reach_is_overdue_and_asked_again(grid: Path) -> None:
    with reopened(grid / "fra-1") as home:
        run_export(home)
    with reopened(grid / "lon-1"), reopened(grid / "fra-1") as home:
        done = ask(home, "label_set", subject=ANNA, change={"consent": "withdrawn"})
        assert [item["site"] for item in done["leases"]["overdue"]] == ["lon-1"]
        listed = ask(home, "lease_list")
        assert [item["rows"] for item in listed["leases"] if item["overdue"]] == [
            {"held": 1, "ending": 1}
        ]
    with reopened(grid / "fra-1") as home:
        assert states(home) == {"held": 2, "ended": 1}


def test_an_interrupted_export_goes_on(grid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package whose answer got lost is asked back and sent again: nothing stands there twice."""
    monkeypatch.setattr(exporting, "BATCH", 1)
    with reopened(grid / "fra-1") as home:
        whole, sent = home.node.transport, 0

        def exchange(to: Any, letter: bytes) -> bytes:
            nonlocal sent
            sent += 1
            answer = whole.exchange(to, letter)
            if sent == 2:
                raise Unavailable("site-unreachable", "The answer got lost.")
            return answer

        home.node.transport = SimpleNamespace(exchange=exchange)
        with pytest.raises(Unavailable):
            run_export(home)
        home.node.transport = whole
        assert states(home) == {"held": 1, "sent": 1}
        done = run_export(home)
        assert done["rows"] == 2
        assert states(home) == {"held": 3, "ended": 1}
    with reopened(grid / "lon-1") as home:
        assert held(home) == 3
        assert len(recalled(home, "wheelchair", reach="region")["results"]) == 3


@pytest.fixture
def package(grid: Path) -> Path:
    file = grid / "out.mfpkg"
    done = cli(grid / "fra-1", "export", "run", "--to", "lon-1", "--purpose", "care",
               "--file", str(file))  # fmt: skip
    assert done.json["rows"] == 3
    return file


def refused(home: Home, file: Path) -> str:
    """The code of a refusal, once it is sure that it left a receipt and nothing else."""
    before = held(home)
    with pytest.raises(MemoryFabricError) as caught:
        ask(home, "export_take", file=str(file))
    receipt = ask(home, "receipt_show", id=caught.value.details["receipt"])
    assert (receipt["act"], receipt["outcome"]) == ("take_in", "denied")
    assert receipt["facts"]["error"] == caught.value.code
    assert held(home) == before
    assert ask(home, "verify_site")["damaged"] == []
    return caught.value.code


def test_a_package_that_is_not_sound_is_refused_with_its_code(grid: Path, package: Path) -> None:
    data = package.read_bytes()
    altered = grid / "altered.mfpkg"
    for at in (20, 200, len(data) // 2, len(data) - 3):
        altered.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with reopened(grid / "lon-1") as home:
            assert refused(home, altered) in {"package-forged", "package-not-for-us"}
    with reopened(grid / "vir-1") as home:
        assert refused(home, package) == "package-not-for-us"
    with reopened(grid / "lon-1") as home:
        node = home.node
        roster, embedder = node.roster, node.embedder
        node.roster = Roster(roster.version, {"lon-1": node.me})
        assert refused(home, package) == "package-signer-unknown"
        node.roster = roster
        node.embedder = SimpleNamespace(id="f" * 64, dim=embedder.dim, embed=embedder.embed)
        assert refused(home, package) == "embedder-mismatch"
        node.embedder = embedder
        taken = ask(home, "export_take", file=str(package))
        assert (taken["rows"], held(home)) == (3, 3)
        assert refused(home, package) == "package-replayed"
        cut = grid / "cut.mfpkg"
        cut.write_bytes(data[:-10])
        with pytest.raises(MemoryFabricError) as caught:
            ask(home, "export_take", file=str(cut))
        assert caught.value.code == "file-unreadable"
    with reopened(grid / "lon-1") as home:  # remembered beyond the process
        assert refused(home, package) == "package-replayed"
    tomorrow = datetime.now(UTC) + timedelta(hours=25)  # at the end: no clock goes back
    with reopened(grid / "lon-1", clock=ManualClock(tomorrow)) as home:
        assert refused(home, package) == "package-expired"


def test_a_package_in_a_file_says_nothing_readable(grid: Path, package: Path) -> None:
    data = package.read_bytes()
    for word in (ANNA, "wheelchair", "outpatient", "care", "personal"):
        assert word.encode() not in data
    with reopened(grid / "lon-1") as home:
        (rows,) = [home.node.packages.open(item).rows for item in read_packages(package)]
    assert sorted(row.text or "" for row in rows) == ["", "", HOURS]


def test_a_lease_that_is_over_is_never_shown(grid: Path, package: Path) -> None:
    clock = ManualClock(datetime.now(UTC))
    with reopened(grid / "lon-1", clock=clock) as home:
        ask(home, "export_take", file=str(package))
        clock.advance(hours=25)
        assert recalled(home, "wheelchair", reach="region")["results"] == []
        assert held(home) == 0
        assert states(home) == {"ended": 3}
        acts = [item["act"] for item in ask(home, "receipts_list")["receipts"]]
        assert "lease-expired" in acts


def test_a_site_removes_what_is_over_when_it_is_opened(grid: Path, package: Path) -> None:
    with reopened(grid / "lon-1") as home:
        ask(home, "export_take", file=str(package))
    late = ManualClock(datetime.now(UTC) + timedelta(hours=25))
    with reopened(grid / "lon-1", clock=late) as home:
        assert held(home) == 0


def test_forms_that_are_not_measured_yet_are_said_to_be_missing(grid: Path) -> None:
    for form in ("noised_vectors", "aggregate"):
        run = cli(grid / "fra-1", "export", "run", "--to", "lon-1", "--purpose", "care",
                  "--form", form)  # fmt: skip
        assert (run.code, run.json["code"]) == (1, "form-not-available")


def test_exports_are_for_the_operator(grid: Path) -> None:
    with reopened(grid / "fra-1") as home:
        key = ask(home, "app_add", name="app", purposes=["care"])["key"]
        with pytest.raises(NotGranted):
            ask(home, "export_run", key=key, site="lon-1", purpose="care")


def test_a_sealed_package_whose_rows_are_not_what_it_says_is_refused(
    grid: Path, package: Path
) -> None:
    """A known site's own seal does not make its rows right."""
    with reopened(grid / "lon-1") as home:
        packages = home.node.packages
        (good,) = [packages.open(data) for data in read_packages(package)]
        bare = next(row for row in good.rows if row.text is None)
        rest = [row for row in good.rows if row is not bare]
        size = len(bare.vector or b"")
        secret = {**bare.label_class, "data_class": "secret"}
        for wrong in (
            replace(bare, vector=b"\x00\x00\xc0\x7f" * (size // 4)),  # not a number
            replace(bare, vector=bytes(size - 4)),
            replace(bare, vector=None),
            replace(bare, text="and its text besides"),
            replace(bare, label_class=secret),
            replace(bare, form="full", text="in full", vector=None),
            replace(bare, id=rest[0].id),
            replace(bare, lease="of nobody"),
            replace(bare, memory_type="gossip"),
        ):
            broken = replace(good, rows=[*rest, wrong])
            home.node.packages = SimpleNamespace(open=lambda data, broken=broken: broken)
            assert refused(home, package) == "package-malformed"
        abroad = replace(good.manifest, tenant="globex")
        home.node.packages = SimpleNamespace(open=lambda data: replace(good, manifest=abroad))
        assert refused(home, package) == "package-malformed"
        home.node.packages = packages
        assert ask(home, "export_take", file=str(package))["rows"] == 3
