"""One frozen settings object, read from ``site.toml`` and written by ``site init`` and ``classes``.

The file is the operator's: commented, diffable, checked strictly. An unknown or misspelt setting
is an error, for a setting that is silently ignored is worse than none.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import tomlkit
import tomlkit.items

from memory_fabric.core.access import LADDER, Form, Plan
from memory_fabric.core.errors import ClassUndeclared, HomeError, InputError, MemoryFabricError
from memory_fabric.core.labels import ClassState, Consent, DataClass, Label, LabelClass
from memory_fabric.core.places import Region, Tier, check_name

MAX_CLASSES = 4096
"""Declared label classes of one site at most: policy is asked about each of them."""

DEFAULT_PLANS: Mapping[Form, Plan] = {
    Form.FULL: Plan(ttl_hours=24),
    Form.REDACTED: Plan(ttl_hours=24),
    Form.VECTORS_ONLY: Plan(ttl_hours=24),
    Form.NOISED_VECTORS: Plan(ttl_hours=24, epsilon="1.0"),
    Form.AGGREGATE: Plan(ttl_hours=24, min_cohort=50),
}


@dataclass(frozen=True)
class Tenant:
    """A tenant's defaults and floors at this site.

    Attributes:
        name: as in keys and labels.
        default_purpose: purpose of a memory whose app names none.
        floor_data_class: no memory may be less confidential.
        floor_personal: whether every memory counts as personal.
    """

    name: str
    default_purpose: str
    floor_data_class: DataClass = DataClass.PUBLIC
    floor_personal: bool = False

    def check_floor(self, label: Label) -> None:
        """Raise ``label-below-floor`` for a label looser than this tenant's floor."""
        if label.data_class.rank < self.floor_data_class.rank or (
            self.floor_personal and not label.personal
        ):
            raise InputError(
                "label-below-floor",
                f"Tenant {self.name!r} holds nothing looser than "
                f"{self.floor_data_class}{', personal' if self.floor_personal else ''}.",
                "Tighten the label, or have the operator lower the floor in site.toml.",
            )


@dataclass(frozen=True)
class ModelSettings:
    """The language model that a site answers with.

    Attributes:
        path: a GGUF file or a Hugging Face folder; ``""`` for the packaged default.
        sha256: what the file's hash must be; ``""`` to take the file as it is.
        context: tokens of prompt and answer together.
        threads: of the model's process.
    """

    path: str = ""
    sha256: str = ""
    context: int = 2048
    threads: int = 2

    def __post_init__(self) -> None:
        for name in ("context", "threads"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"[model] {name} is not a whole number above 0")
        for name in ("path", "sha256"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"[model] {name} is not a text")
        if self.path and not Path(self.path).expanduser().is_absolute():
            raise ValueError("[model] path does not start with / or ~")


@dataclass(frozen=True)
class SearchSettings:
    """The searchable copy in memory.

    Attributes:
        memory_limit_mb: MiB that it may take; 0 for as much as it needs.
    """

    memory_limit_mb: int = 0

    def __post_init__(self) -> None:
        if type(self.memory_limit_mb) is not int or self.memory_limit_mb < 0:
            raise ValueError("[search] memory_limit_mb is not a whole number from 0")


@dataclass(frozen=True)
class Settings:
    """What a site is, as its operator wrote it down.

    Attributes:
        site_id: its name in the grid.
        region: the jurisdiction it stands in; home region of everything it remembers.
        tier: edge, hub or core.
        tenants: by name.
        classes: declared label classes of all tenants, at most ``MAX_CLASSES``.
        plans: the numbers that each form undertakes to keep.
        instruments: transfer instruments signed, with their last valid day or ``""``.
        memberships: blocs the site itself belongs to, with their last valid day or ``""``.
        transfer_risk_assessed: whether a transfer impact assessment is on file.
        aggregators: sites that this one takes training tasks from, besides itself.
        training_model: name or path of the base model to train; empty for the default one.
        model: what `ask` is answered with.
        keys: by kind of root key, how it is set up; each kind knows its own settings.
        search: bounds of the searchable copy.
    """

    site_id: str
    region: Region
    tier: Tier
    tenants: Mapping[str, Tenant]
    classes: tuple[LabelClass, ...] = ()
    plans: Mapping[Form, Plan] = field(default_factory=lambda: dict(DEFAULT_PLANS))
    instruments: Mapping[str, str] = field(default_factory=dict)
    memberships: Mapping[str, str] = field(default_factory=dict)
    transfer_risk_assessed: bool = False
    aggregators: frozenset[str] = frozenset()
    training_model: str = ""
    model: ModelSettings = ModelSettings()
    keys: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    search: SearchSettings = SearchSettings()

    def __post_init__(self) -> None:
        check_name(self.site_id, "site")
        if len(self.classes) > MAX_CLASSES:
            raise InputError(
                "classes-too-many",
                f"The site declares {len(self.classes):,} label classes; {MAX_CLASSES:,} fit.",
                "Declare fewer combinations, or split the site.",
            )
        for label_class in self.classes:
            self.tenant(label_class.tenant)

    @cached_property
    def declared(self) -> frozenset[LabelClass]:
        """The declared classes, for look-ups."""
        return frozenset(self.classes)

    def states(self, tenant: str, purpose: str) -> frozenset[ClassState]:
        """A tenant's declared classes that serve a purpose, within their retention."""
        return self._states.get((tenant, purpose), frozenset())

    @cached_property
    def _states(self) -> Mapping[tuple[str, str], frozenset[ClassState]]:
        serving: defaultdict[tuple[str, str], set[ClassState]] = defaultdict(set)
        for label_class in self.classes:
            for purpose in label_class.purposes:
                serving[label_class.tenant, purpose].add(ClassState(label_class))
        return {key: frozenset(states) for key, states in serving.items()}

    def tenant(self, name: str | None) -> Tenant:
        """The tenant of that name; ``None`` means the only one."""
        if name is None and len(self.tenants) == 1:
            return next(iter(self.tenants.values()))
        if name is None:
            raise InputError(
                "tenant-missing",
                "The site has several tenants and the request names none.",
                f"Name one of {', '.join(sorted(self.tenants))}.",
            )
        if name not in self.tenants:
            raise InputError(
                "tenant-unknown",
                f"This site has no tenant {name!r}.",
                f"Name one of {', '.join(sorted(self.tenants))}.",
            )
        return self.tenants[name]

    def check_declared(self, label_class: LabelClass) -> None:
        """Raise ``class-undeclared`` for a class that the tenant did not declare."""
        if label_class.bases().isdisjoint(self.declared):
            flags = " ".join(
                [f"--tenant {label_class.tenant}"]
                + [f"--purpose {purpose}" for purpose in sorted(label_class.purposes)]
                + [f"--data-class {label_class.data_class}"]
                + ["--personal" if label_class.personal else "--no-personal"]
                + [f"--special {special}" for special in sorted(label_class.special)]
                + [f"--consent {label_class.consent}"]
            )
            raise ClassUndeclared(
                "class-undeclared",
                f"The class '{label_class}' is not declared for tenant {label_class.tenant!r}.",
                f"Have the operator run `memory-fabric site classes add {flags}`.",
                {"class": label_class.to_json()},
            )

    def with_classes(self, added: Iterable[LabelClass]) -> Settings:
        """The settings with further classes declared, each once."""
        return replace(self, classes=tuple(dict.fromkeys([*self.classes, *added])))


def starter_classes(
    region: Region, tenant: str, purposes: Iterable[str], specials: Iterable[str]
) -> list[LabelClass]:
    """What ``site init`` declares: each purpose with each data class, personal or not, with
    consent or without, and health data for care where the bundle knows both words.
    """
    purposes = tuple(purposes)
    kinds = [
        (purpose, personal, frozenset[str]()) for purpose in purposes for personal in (True, False)
    ]
    if "care" in purposes and "health" in set(specials):
        kinds.append(("care", True, frozenset({"health"})))
    return [
        LabelClass(region, tenant, data_class, personal, special, frozenset({purpose}), consent)
        for purpose, personal, special in kinds
        for data_class in DataClass
        for consent in (Consent.NONE, Consent.GIVEN)
    ]


def load_settings(path: Path) -> Settings:
    """Read ``site.toml``.

    Raises:
        HomeError: ``home-missing`` without the file; ``settings-invalid`` naming the setting.
    """
    try:
        return settings_from(tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise HomeError(
            "home-missing",
            "There is no site home here: site.toml is missing.",
            "Run `memory-fabric site init`, or name the home with --home or MEMORY_FABRIC_HOME.",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise HomeError(
            "settings-invalid",
            f"site.toml cannot be read: {error}.",
            "Mend the setting; docs/reference/site-toml.md lists them all.",
        ) from error
    except MemoryFabricError as error:
        if isinstance(error, HomeError):
            raise
        raise HomeError("settings-invalid", f"site.toml: {error.what}", error.do) from error


def settings_from(document: Mapping[str, Any]) -> Settings:
    """Settings from a parsed ``site.toml``; raises on anything unknown."""
    site = _known(document["site"], "site", {
        "id", "region", "tier", "instruments", "memberships", "transfer_risk_assessed",
    })  # fmt: skip
    _known(
        document,
        "site.toml",
        {"site", "tenants", "plans", "labels", "model", "search", "training", "keys"},
    )
    training = _known(document.get("training", {}), "training", {"aggregators", "model"})
    labels = _known(document.get("labels", {}), "labels", {"classes"})
    region = Region(site["region"])
    names = {item.name for item in fields(Tenant)} - {"name"}
    tenants = {
        name: Tenant(
            name=check_name(name, "tenant"),
            default_purpose=_known(values, f"tenants.{name}", names)["default_purpose"],
            floor_data_class=DataClass(values.get("floor_data_class", "public")),
            floor_personal=bool(values.get("floor_personal", False)),
        )
        for name, values in document["tenants"].items()
    }
    plans = dict(DEFAULT_PLANS)
    for form, numbers in document.get("plans", {}).items():
        _known(numbers, f"plans.{form}", {"ttl_hours", "min_cohort", "epsilon"})
        plans[Form(form)] = replace(plans[Form(form)], **numbers)
    search_names = {item.name for item in fields(SearchSettings)}
    model_names = {item.name for item in fields(ModelSettings)}
    class_names = {"tenant", "purposes", "data_class", "personal", "special", "consent", "home"}
    classes = tuple(
        LabelClass(
            home=Region(item.get("home", region)),
            tenant=item["tenant"],
            data_class=DataClass(item["data_class"]),
            personal=bool(item["personal"]),
            special=frozenset(item.get("special", ())),
            purposes=frozenset(item["purposes"]),
            consent=Consent(item.get("consent", "none")),
        )
        for item in (_known(entry, "classes", class_names) for entry in labels.get("classes", ()))
    )
    return Settings(
        site_id=site["id"],
        region=region,
        tier=Tier(site.get("tier", "edge")),
        tenants=tenants,
        classes=classes,
        plans=plans,
        instruments=dict(site.get("instruments", {})),
        memberships=dict(site.get("memberships", {})),
        transfer_risk_assessed=bool(site.get("transfer_risk_assessed", False)),
        aggregators=frozenset(check_name(name, "site") for name in training.get("aggregators", ())),
        training_model=str(training.get("model", "")),
        model=ModelSettings(**_known(document.get("model", {}), "model", model_names)),
        keys={name: dict(table) for name, table in document.get("keys", {}).items()},
        search=SearchSettings(**_known(document.get("search", {}), "search", search_names)),
    )


def _known(table: Mapping[str, Any], name: str, known: set[str]) -> Mapping[str, Any]:
    unknown = sorted(set(table) - known)
    if unknown:
        raise ValueError(
            f"[{name}] has no setting {unknown[0]!r}; it has {', '.join(sorted(known))}"
        )
    return table


_PREFACE = """\
Memory Fabric site. Yours to edit; docs/reference/site-toml.md explains every setting."""


def new_document(settings: Settings) -> str:
    """``site.toml`` as ``site init`` writes it, with its comments."""
    document = tomlkit.document()
    for line in _PREFACE.splitlines():
        document.add(tomlkit.comment(line))
    site = tomlkit.table()
    site["id"] = settings.site_id
    site["region"] = str(settings.region)
    site["region"].comment("ISO 3166; the home region of what is remembered here")
    site["tier"] = str(settings.tier)
    site.add(
        tomlkit.comment("Transfer instruments signed, and blocs that this site itself belongs to,")
    )
    site.add(
        tomlkit.comment('each with its last valid day or "", such as {"eu-scc" = "2027-12-31"}.')
    )
    site["instruments"] = _inline(settings.instruments)
    site["memberships"] = _inline(settings.memberships)
    site["transfer_risk_assessed"] = settings.transfer_risk_assessed
    document["site"] = site
    tenants = tomlkit.table(is_super_table=True)
    for tenant in settings.tenants.values():
        table = tomlkit.table()
        table["default_purpose"] = tenant.default_purpose
        table["default_purpose"].comment("of a memory whose app names none")
        table["floor_data_class"] = str(tenant.floor_data_class)
        table["floor_data_class"].comment("nothing less confidential is taken")
        table["floor_personal"] = tenant.floor_personal
        tenants[tenant.name] = table
    document["tenants"] = tenants
    if settings.keys:
        document["keys"] = settings.keys
    plans = tomlkit.table(is_super_table=True)
    for form in LADDER:
        plans[str(form)] = tomlkit.item(settings.plans[form].to_json())
    document["plans"] = plans
    labels = tomlkit.table()
    labels.add(
        tomlkit.comment("The label classes that memories may have: policy decides on each of them.")
    )
    labels.add(tomlkit.comment("`memory-fabric site classes add` declares more."))
    labels["classes"] = tomlkit.array("[\n]")
    document["labels"] = labels
    return with_classes(tomlkit.dumps(document), settings.classes)


def with_classes(text: str, added: Iterable[LabelClass]) -> str:
    """The text of a ``site.toml`` with further classes declared; everything else stays as it is."""
    document = tomlkit.parse(text)
    labels = document.setdefault("labels", tomlkit.table())
    classes = labels.setdefault("classes", tomlkit.array("[\n]"))
    for item in added:
        row = {name: value for name, value in item.to_json().items() if name != "legal_hold"}
        classes.add_line(_inline(row), indent="  ")
    return tomlkit.dumps(document)


def with_training(text: str, aggregators: Iterable[str], model: str | None = None) -> str:
    """The text of a ``site.toml`` that takes training tasks from these sites besides those named
    there already; with another base model where one is given.
    """
    document = tomlkit.parse(text)
    training = document.setdefault("training", tomlkit.table())
    named = {*training.get("aggregators", ()), *aggregators}
    training["aggregators"] = sorted(named)
    if model is not None:
        training["model"] = model
    return tomlkit.dumps(document)


def _inline(values: Mapping[str, Any]) -> tomlkit.items.InlineTable:
    table = tomlkit.inline_table()
    table.update(values)
    return table
