"""The fail-open trap, one test for each way in.

Cedar skips a rule that errors, a ``forbid`` included; a missing entity belongs to nothing, quietly;
the validator passes unknown annotations, duplicate ids and misspelt regions. Each of these must
end in a denial, or in a bundle that is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.cedar.lint import check
from memory_fabric.core.access import Act, Form, Plan, Question, Update
from memory_fabric.core.errors import PolicyInvalid
from memory_fabric.core.labels import DataClass
from memory_fabric.core.places import Region

MakeQuestion = Callable[..., Question]

RULE = """
@id("{id}")
@title("A rule")
@basis("Test")
{body}
"""


def add(bundle: Path, body: str, name: str = "extra") -> None:
    with (bundle / "packs" / "extra.cedar").open("a") as pack:
        pack.write(RULE.format(id=name, body=body))


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def refused(bundle: Path) -> str:
    """What the check says, having made sure that no engine comes of it."""
    findings = check(bundle)
    assert findings
    with pytest.raises(PolicyInvalid) as caught:
        CedarEngine(read_bundle(bundle))
    assert caught.value.code == "policy-invalid"
    assert caught.value.exit_code == 4
    assert caught.value.details["findings"]
    return "\n".join(map(str, findings))


# ---- Questions ---------------------------------------------------------------------------


def test_the_permissive_bundle_permits(permissive: Path, ask: MakeQuestion, now: datetime) -> None:
    (verdict,) = CedarEngine(read_bundle(permissive)).decide([ask()], now)
    assert verdict.allowed
    assert [rule.id for rule in verdict.rules] == ["all"]


def test_a_forbid_that_errors_denies(permissive: Path, ask: MakeQuestion, now: datetime) -> None:
    add(
        permissive,
        'forbid (principal, action in Sov::Action::"share", resource)'
        " when { context.plan.minCohort * 9223372036854775807 > 0 };",
        "overflows",
    )
    engine = CedarEngine(read_bundle(permissive))
    sound, erring = engine.decide([ask(plan=Plan(min_cohort=0)), ask(plan=Plan(min_cohort=2))], now)
    assert sound.allowed
    assert not erring.allowed
    assert "overflows" in erring.errors[0]


def test_a_permit_that_errors_denies_too(
    permissive: Path, ask: MakeQuestion, now: datetime
) -> None:
    add(
        permissive,
        'permit (principal, action in Sov::Action::"share", resource)'
        " when { context.plan.minCohort * 9223372036854775807 > 0 };",
    )
    (verdict,) = CedarEngine(read_bundle(permissive)).decide([ask(plan=Plan(min_cohort=2))], now)
    assert not verdict.allowed
    assert verdict.errors


@pytest.mark.parametrize(
    "unknown",
    [
        {"region": Region("ZZ")},
        {"region": Region("UK")},
        {"region": Region("US-ZZ")},
        {"origin": Region("ZZ")},
        {"home": Region("ZZ")},
        {"purpose": "curiosity"},
        {"purpose": ""},
        pytest.param({"purposes": frozenset({"care", "curiosity"})}, id="one purpose of two"),
        {"special": frozenset({"heath"})},
        {"instruments": {"eu-sccs": ""}},
        {"instruments": {"eu-scc": "soon"}},
        {"memberships": {"EU-US-DPF": ""}},
        {"memberships": {"EEA": ""}},
        {"memberships": {"GDPR-adequat": ""}},
        {"form": None},
        {"act": Act.ERASE},
        {"plan": Plan(epsilon="1")},
        {"plan": Plan(epsilon="1.00001")},
        {"plan": Plan(epsilon="-1.0")},
        {"plan": Plan(epsilon="nan")},
        {"plan": Plan(ttl_hours=-1)},
        {"plan": Plan(ttl_hours=2**63)},
        {"act": Act.SEND_UPDATE, "form": None},
        {"act": Act.SEND_UPDATE, "form": None, "update": Update(True, -1, "1.0")},
        {"act": Act.SEND_UPDATE, "form": None, "update": Update(True, 1, "inf")},
    ],
    ids=str,
)
def test_an_unknown_word_denies_and_spoils_no_other_answer(
    permissive: Path, ask: MakeQuestion, now: datetime, unknown: dict[str, object]
) -> None:
    engine = CedarEngine(read_bundle(permissive))
    before, odd, after = engine.decide([ask(), ask(**unknown), ask()], now)
    assert before.allowed
    assert after.allowed
    assert not odd.allowed
    assert odd.errors
    assert engine.decide([ask()], now)[0].allowed


def test_an_unknown_act_denies(permissive: Path, ask: MakeQuestion, now: datetime) -> None:
    engine = CedarEngine(read_bundle(permissive))
    odd = ask(act="peek", form=None)
    verdicts = engine.decide([odd], now)
    assert not verdicts[0].allowed
    assert verdicts[0].errors


def test_what_cannot_be_written_down_denies_and_is_forgotten(
    permissive: Path, ask: MakeQuestion, now: datetime
) -> None:
    engine = CedarEngine(read_bundle(permissive))
    for odd in (ask(tenant=object()), ask(data_class="privat"), ask(consent="maybe")):
        (verdict,) = engine.decide([odd], now)
        assert not verdict.allowed
        assert verdict.errors
        assert engine.decide([ask()], now)[0].allowed


def test_a_group_of_forms_is_no_form(permissive: Path, ask: MakeQuestion, now: datetime) -> None:
    (verdict,) = CedarEngine(read_bundle(permissive)).decide([ask(form="share")], now)
    assert not verdict.allowed
    assert verdict.errors


def test_a_site_without_a_roster_entry_in_the_register_has_no_blocs(
    starter: CedarEngine, ask: MakeQuestion, now: datetime
) -> None:
    """A country that no register entry names is known, and belongs to nothing."""
    (verdict,) = starter.decide([ask(region=Region("ZA"), form=Form.REDACTED)], now)
    assert not verdict.allowed
    assert not verdict.errors
    assert [rule.id for rule in verdict.rules] == ["eu-no-safeguards"]


def test_no_error_text_names_a_tenant_s_data(
    starter: CedarEngine, ask: MakeQuestion, now: datetime
) -> None:
    (verdict,) = starter.decide([ask(data_class=DataClass.SECRET)], now)
    assert not verdict.allowed
    assert verdict.errors == ()


# ---- Rules -------------------------------------------------------------------------------

SHARE = '(principal, action in Sov::Action::"share", resource)'


def test_the_starter_bundle_has_no_findings(bundle: Path) -> None:
    assert check(bundle) == []


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (f"forbid {SHARE} when {{ resource.persona }};", "persona"),
        (f'forbid {SHARE} when {{ resource.consent == Sov::Consent::"gone" }};', "gone"),
        ('forbid (principal, action == Sov::Action::"fulll", resource);', "fulll"),
        ('forbid (principal in Sov::Bloc::"EAA", action, resource);', "EAA"),
        ('forbid (principal in Sov::Region::"UK", action, resource);', "UK"),
        (f'forbid {SHARE} when {{ resource.home == Sov::Region::"NOR" }};', "NOR"),
        (f'forbid {SHARE} when {{ resource.tenant == Sov::Tenant::"acmee" }};', "acmee"),
        ('forbid (principal == Sov::Site::"fra-1", action, resource);', "fra-1"),
        (f'forbid {SHARE} when {{ context.now < datetime("tomorrow") }};', "datetime"),
        (f'forbid {SHARE} when {{ context.breakGlass.ticket == "x" }};', "breakGlass"),
        (f"forbid {SHARE} when {{ true ;", "cannot be read"),
        ("forbid (principal == ?principal, action, resource);", "placeholders"),
        (f"forbid {SHARE}", "cannot be read"),
    ],
)
def test_a_rule_that_would_never_fire_is_refused(bundle: Path, body: str, word: str) -> None:
    add(bundle, body)
    report = refused(bundle)
    assert re.search("packs/extra.cedar:[56]", report), "the line in the rule, or its end"
    assert word in report


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("@title(", "@tilte(", "@tilte is not known"),
        ("@title(", "@tilte(", "@title is missing"),
        ("@basis(", "@obligation(", "@obligation is not known"),
        ('@basis("Test")', "", "@basis is missing"),
        ('@basis("Test")', '@basis(" ")', "@basis is missing"),
        ('@id("extra")', "", "@id is missing"),
        ('@id("extra")', "@id", "@id is missing"),
        ('@id("extra")', '@id("Extra Rule")', "not kebab-case"),
        ('@id("extra")', '@id("undecidable")', "the program's own"),
        ('@id("extra")', '@id("home-use")', "The id home-use is taken by"),
        ('@id("extra")', '@id("extra") @notify', "@notify names nobody"),
    ],
)
def test_an_annotation_that_is_not_as_it_should_be_is_refused(
    bundle: Path, old: str, new: str, message: str
) -> None:
    add(bundle, f"forbid {SHARE};")
    replace(bundle / "packs" / "extra.cedar", old, new)
    assert message in refused(bundle)


def test_a_finding_names_file_line_rule_and_what_to_do(bundle: Path) -> None:
    add(bundle, "permit (principal, action, resource);", "first")
    add(bundle, f"forbid {SHARE} when {{ resource.persona }};", "second; // not an end")
    (finding, *_) = [item for item in check(bundle) if "kebab" in item.message]
    assert (finding.file, finding.line) == ("packs/extra.cedar", 7)
    assert finding.rule == "second; // not an end"
    assert finding.fix


# ---- Schema and files --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('entity Consent enum ["none", "given", "withdrawn"];', "entity Consent;", "Consent"),
        ('["none", "given", "withdrawn"]', '["none", "given"]', "Consent"),
        ("retentionExpired: Bool,", "retentionOver: Bool,", "does not fit"),
        ("tier: Tier,", "tier: Tier, owner: String,", "does not fit"),
        ("breakGlass?: BreakGlass,", "", "does not fit"),
        ("namespace Sov {", "namespace Sov {{", "schema"),
    ],
)
def test_a_schema_that_the_program_cannot_speak_is_refused(
    bundle: Path, old: str, new: str, word: str
) -> None:
    replace(bundle / "schema.cedarschema", old, new)
    assert word in refused(bundle)


def test_an_officer_may_add_a_purpose(bundle: Path, ask: MakeQuestion, now: datetime) -> None:
    replace(bundle / "schema.cedarschema", '"training"]', '"training", "billing"]')
    assert check(bundle) == []
    engine = CedarEngine(read_bundle(bundle))
    assert engine.purposes[0] == "care"
    assert engine.purposes[-1] == "billing"
    asked = ask(purpose="billing", purposes=frozenset({"billing"}), region=Region("DE"))
    assert engine.decide([asked], now)[0].allowed


@pytest.mark.parametrize("missing", ["schema.cedarschema", "register/regions.yaml"])
def test_a_missing_file_is_refused(bundle: Path, missing: str) -> None:
    (bundle / missing).unlink()
    (finding,) = check(bundle)
    assert finding.file == missing
    with pytest.raises(PolicyInvalid):
        read_bundle(bundle)


def test_a_missing_bundle_is_refused(tmp_path: Path) -> None:
    assert check(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["packs/guards.ceder", "packs/guards.cedar.bak", "rules.cedar"])
def test_a_file_that_would_not_be_read_is_refused(bundle: Path, name: str) -> None:
    (bundle / name).write_text("forbid (principal, action, resource);")
    (finding,) = check(bundle)
    assert finding.file == name


def test_a_link_is_refused(bundle: Path) -> None:
    (bundle / "packs" / "linked.cedar").symlink_to(bundle / "packs" / "home.cedar")
    assert "packs/linked.cedar" in str(check(bundle)[0])


def test_a_bundle_without_rules_is_refused(permissive: Path) -> None:
    (permissive / "packs" / "all.cedar").write_text("// nothing yet\n")
    assert "no rules" in refused(permissive)


def test_the_digest_follows_every_file(bundle: Path) -> None:
    before = read_bundle(bundle).digest
    with (bundle / "cases" / "eu.yaml").open("a") as cases:
        cases.write("\n")
    assert read_bundle(bundle).digest != before
