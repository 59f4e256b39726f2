"""Mistakes that people make in a bundle, planted into a copy of the starter bundle.

The first were written before the workbench's checks, from what goes wrong in such files elsewhere:
a rule that fails open, a number with a digit too few, a word left out. Each must be caught before
install; ``caught.py`` says by what.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Mistake(NamedTuple):
    """One change to one file.

    Attributes:
        name: short, unique.
        harm: what would happen if it took effect.
        file: path inside the bundle.
        old, new: the text replaced, once; an empty ``new`` takes it out.
    """

    name: str
    harm: str
    file: str
    old: str
    new: str

    def plant(self, bundle: Path) -> None:
        """Make the mistake in a copy of the starter bundle."""
        path = bundle / self.file
        text = path.read_text()
        assert text.count(self.old) >= 1, f"{self.name}: the starter bundle has changed"
        path.write_text(text.replace(self.old, self.new, 1))


BEFORE = (
    Mistake(
        "permit-everything",
        "A rule meant for a trial lets every form out to anybody.",
        "packs/common.cedar",
        "// ---- Exports",
        '@id("trial") @title("Trial") @basis("Trial") permit (principal, action, resource);\n\n'
        "// ---- Exports",
    ),
    Mistake(
        "misspelt-annotation",
        "The notice to the officer is silently lost.",
        "packs/eu.cedar",
        '@notify("dpo")',
        '@notifiy("dpo")',
    ),
    Mistake(
        "statistics-over-five",
        "Statistics over 5 people instead of 50 go anywhere.",
        "packs/eu.cedar",
        "context.plan.minCohort >= 50",
        "context.plan.minCohort >= 5",
    ),
    Mistake(
        "cohort-widened",
        "An update from 2 people instead of 20 leaves the EEA.",
        "packs/eu.cedar",
        "resource.cohort >= 20",
        "resource.cohort >= 2",
    ),
    Mistake(
        "comparison-turned",
        "Redacted data goes for 30 days at least, instead of at most.",
        "packs/eu.cedar",
        "context.plan.ttlHours <= 720",
        "context.plan.ttlHours >= 720",
    ),
    Mistake(
        "purpose-wall-lost",
        "Data serves purposes that it was not collected for.",
        "packs/guards.cedar",
        "unless { resource.purposes.contains(context.purpose) };",
        "unless { true };",
    ),
    Mistake(
        "tenant-wall-half",
        "A site of another tenant receives the data.",
        "packs/guards.cedar",
        "  principal.tenants.contains(resource.tenant) &&\n",
        "",
    ),
    Mistake(
        "consent-misread",
        "Withdrawn consent is ignored, and given consent refuses.",
        "packs/guards.cedar",
        'resource.consent == Sov::Consent::"withdrawn"',
        'resource.consent == Sov::Consent::"given"',
    ),
    Mistake(
        "bloc-swapped",
        "Health data leaves the EEA for any country with an adequacy decision.",
        "packs/eu.cedar",
        'when { resource.special.contains(Sov::Special::"health") }\n'
        'unless { principal in Sov::Bloc::"EEA" }',
        'when { resource.special.contains(Sov::Special::"health") }\n'
        'unless { principal in Sov::Bloc::"GDPR-adequate" }',
    ),
    Mistake(
        "one-approver",
        "One person alone opens a break-glass for health data.",
        "packs/eu.cedar",
        '  context.breakGlass.ticket like "INC-*" &&\n'
        "  context.breakGlass.approver1 != context.breakGlass.approver2\n};",
        '  context.breakGlass.ticket like "INC-*"\n};',
    ),
    Mistake(
        "break-glass-without-twin",
        "The emergency is permitted, and refused all the same.",
        "packs/eu.cedar",
        "unless {\n  context has breakGlass &&\n"
        '  context.purpose == Sov::Purpose::"care" &&\n'
        "  context.plan.ttlHours <= 24 &&\n"
        '  context.breakGlass.ticket like "INC-*" &&\n'
        "  context.breakGlass.approver1 != context.breakGlass.approver2\n};",
        ";",
    ),
    Mistake(
        "special-left-out",
        "Genetic data leaves the EEA.",
        "packs/eu.cedar",
        'Sov::Special::"genetic", ',
        "",
    ),
    Mistake(
        "share-narrowed-to-text",
        "The guard on secrets stops text, and lets vectors of it out.",
        "packs/guards.cedar",
        '  action in [Sov::Action::"share", Sov::Action::"take_in", Sov::Action::"send_update"],',
        '  action in [Sov::Action::"share_text", Sov::Action::"take_in", '
        'Sov::Action::"send_update"],',
    ),
    Mistake(
        "and-for-or",
        "An update on special categories is stopped only if small and unnoised at once.",
        "packs/common.cedar",
        '(resource.cohort < 100 || resource.epsilon.greaterThan(decimal("1.0")))',
        '(resource.cohort < 100 && resource.epsilon.greaterThan(decimal("1.0")))',
    ),
    Mistake(
        "norway-as-no",
        "Norway drops out of the EEA.",
        "register/regions.yaml",
        '"NO", PT',
        "NO, PT",
    ),
    Mistake(
        "country-misspelt",
        "A bloc has a country that does not exist, and lacks the one meant.",
        "register/regions.yaml",
        "[AT, BE, DE,",
        "[AT, BE, DL,",
    ),
    Mistake(
        "member-too-many",
        "A country without any decision is treated as adequate.",
        "register/regions.yaml",
        "regions: [CH]",
        "regions: [CH, IN]",
    ),
    Mistake(
        "guard-lost",
        "Data received from abroad is passed on to a third country.",
        "packs/guards.cedar",
        "  context.origin != resource.home &&\n",
        "  context.origin == resource.home &&\n",
    ),
    Mistake(
        "duplicate-id",
        "A receipt names a rule, and nobody knows which of two.",
        "packs/uk.cedar",
        '@id("uk-adequacy")',
        '@id("uk-domestic")',
    ),
    Mistake(
        "attribute-unchecked",
        "A rule errs for every request, so that Cedar skips a prohibition.",
        "packs/us.cedar",
        'when {\n  resource.special.contains(Sov::Special::"health") &&\n  principal',
        'when {\n  resource.categories.contains(Sov::Special::"health") &&\n  principal',
    ),
    Mistake(
        "emergency-unguarded",
        "A rule reads the emergency without asking whether there is one.",
        "packs/eu.cedar",
        "when {\n  context has breakGlass &&\n",
        "when {\n",
    ),
    Mistake(
        "forbid-made-permit",
        "What refuses transfers to countries of concern allows them.",
        "packs/us.cedar",
        'forbid (\n  principal in Sov::Bloc::"US-countries-of-concern",\n'
        '  action in Sov::Action::"share",',
        'permit (\n  principal in Sov::Bloc::"US-countries-of-concern",\n'
        '  action in Sov::Action::"share",',
    ),
    Mistake(
        "permit-into-the-void",
        "A permit that a guard always outweighs: it is written, and never applies.",
        "packs/common.cedar",
        "// ---- Exports",
        '@id("secrets-for-partners") @title("Secrets for partners") @basis("A contract")\n'
        'permit (principal, action in Sov::Action::"share", resource)\n'
        'when { resource.dataClass == Sov::DataClass::"secret" && '
        "principal.region != resource.home };\n\n// ---- Exports",
    ),
    Mistake(
        "cohort-on-text",
        "A least number of people is asked of a form that has none, so that the rule never applies "
        "or, with a plan that names one, means nothing.",
        "packs/eu.cedar",
        '  principal.instruments.contains(Sov::Instrument::"eu-scc") &&\n',
        '  principal.instruments.contains(Sov::Instrument::"eu-scc") &&\n'
        "  context.plan.minCohort >= 10 &&\n",
    ),
)
"""Written before the checks."""

AFTER = (
    Mistake(
        "digit-too-many",
        "Masked data stays abroad for 300 days instead of 30.",
        "packs/uk.cedar",
        "context.plan.ttlHours <= 720",
        "context.plan.ttlHours <= 7200",
    ),
    Mistake(
        "organisations-for-countries",
        "Every site in the United States counts as certified.",
        "register/regions.yaml",
        "title: US organisations certified under the EU-US Data Privacy Framework\n"
        "    members: organisations",
        "title: US organisations certified under the EU-US Data Privacy Framework\n"
        "    members: countries",
    ),
    Mistake(
        "another-law-s-contract",
        "Clauses of the European Union count as the British agreement.",
        "packs/uk.cedar",
        '  principal.instruments.containsAny([Sov::Instrument::"uk-idta", '
        'Sov::Instrument::"uk-addendum"]) &&\n  principal',
        '  principal.instruments.containsAny([Sov::Instrument::"uk-idta", '
        'Sov::Instrument::"eu-scc"]) &&\n  principal',
    ),
    Mistake(
        "noise-of-nothing",
        "An update with no noise added counts as noised, and leaves.",
        "packs/common.cedar",
        'resource.epsilon.greaterThan(decimal("0.0")) }',
        'resource.epsilon.greaterThanOrEqual(decimal("0.0")) }',
    ),
    Mistake(
        "state-for-country",
        "Of all states only California's data is kept from countries of concern.",
        "packs/us.cedar",
        'forbid (\n  principal in Sov::Bloc::"US-countries-of-concern",\n'
        '  action in Sov::Action::"share",\n  resource in Sov::Region::"US"',
        'forbid (\n  principal in Sov::Bloc::"US-countries-of-concern",\n'
        '  action in Sov::Action::"share",\n  resource in Sov::Region::"US-CA"',
    ),
    Mistake(
        "hold-or-home",
        "At home nothing is ever past its retention, and under a hold it is used abroad.",
        "packs/guards.cedar",
        "unless { resource.legalHold && principal.region == resource.home }",
        "unless { resource.legalHold || principal.region == resource.home }",
    ),
    Mistake(
        "emergency-in-full",
        "An emergency hands out the full text, with every name in it.",
        "packs/eu.cedar",
        'permit (\n  principal,\n  action == Sov::Action::"redacted",',
        'permit (\n  principal,\n  action in Sov::Action::"share_text",',
    ),
    Mistake(
        "any-ticket",
        "With any word for a ticket health data goes to adequate countries, as in an emergency.",
        "packs/eu.cedar",
        'context.breakGlass.ticket like "INC-*"',
        'context.breakGlass.ticket like "*"',
    ),
    Mistake(
        "onward-to-anybody",
        "What came from within the EEA is passed on to anybody.",
        "packs/guards.cedar",
        ' && principal in Sov::Bloc::"EEA"\n',
        "\n",
    ),
    Mistake(
        "role-turned",
        "Everybody but compliance loosens labels.",
        "packs/home.cedar",
        'context.loosens && context.requester.role != Sov::Role::"compliance"',
        'context.loosens && context.requester.role == Sov::Role::"compliance"',
    ),
    Mistake(
        "decision-expired",
        "An adequacy decision ends ten years early: nothing goes to where the law allows it.",
        "register/regions.yaml",
        'valid_until: "2031-12-27"',
        'valid_until: "2021-12-27"',
    ),
    Mistake(
        "about-nobody-forgotten",
        "What is public goes anywhere as it is, about people too.",
        "packs/common.cedar",
        'when { !resource.personal && resource.dataClass == Sov::DataClass::"public" };',
        'when { resource.dataClass == Sov::DataClass::"public" };',
    ),
    Mistake(
        "mask-forgotten",
        "An update from confidential data that is not masked leaves China.",
        "packs/cn.cedar",
        "  resource.secureAggregated &&\n",
        "",
    ),
)
"""Written after them, to see what they miss."""

MISTAKES = BEFORE + AFTER
