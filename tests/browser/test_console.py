"""What an officer does in the console, in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import RULE, Visit
from tests.system.desk import Desk
from tests.system.homes import ask

PAGES = {
    "overview": "",
    "rules": "rules",
    "rule": "rules/eu-health-stays",
    "explain": "explain?act=recall&site=lon-1&purpose=care&consent=none",
    "matrix": "matrix?purpose=care",
    "changes": "changes",
    "receipts": "receipts",
    "erasures": "erasures",
    "expiry": "expiry",
}
SIGHTS: dict[str, dict[str, Any]] = {
    "desk": {},
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2},
    "dark": {"color_scheme": "dark"},
}


def test_only_a_key_of_compliance_opens_it(visiting: Callable[..., Visit]) -> None:
    visit = visiting()
    visit.open("rules")
    visit.arrives("Compliance console")
    visit.sign_in("mf_000000000000_wrong")
    expect(visit.page.get_by_role("alert")).to_contain_text("This API key is not known here.")
    visit.sign_in(visit.site.app)
    expect(visit.page.get_by_role("alert")).to_contain_text("the console is for role compliance")
    visit.open("rules")
    visit.page.get_by_label("Your key").fill(visit.site.officer)
    visit.page.get_by_role("button", name="Sign in").click()
    visit.arrives("Rules")
    visit.page.get_by_role("button", name="Sign out").click()
    visit.open("rules")
    visit.arrives("Compliance console")


@pytest.mark.parametrize("sight", SIGHTS)
def test_every_page_is_fit_for_everybody(visiting: Callable[..., Visit], sight: str) -> None:
    """Nothing serious for axe, nothing wider than the window, a picture of each."""
    visit = visiting(**SIGHTS[sight])
    visit.open("sign-in")
    visit.picture(f"{sight}-sign-in")
    barriers = visit.barriers()
    visit.sign_in()
    for name, path in PAGES.items():
        visit.open(path)
        visit.picture(f"{sight}-{name}")
        barriers += [f"{name}: {barrier}" for barrier in visit.barriers()]
        assert visit.overhang() <= 0, f"{name} is wider than the window"
        assert visit.page.get_by_role("main").count() == 1
        assert visit.page.get_by_role("heading", level=1).count() == 1
    assert barriers == []


def test_the_overview_says_what_crosses_in_which_form(anna: Visit) -> None:
    picture = anna.page.get_by_role("img", name=re.compile("What may go from Germany to"))
    expect(picture).to_be_visible()
    row = anna.page.get_by_role("row", name=re.compile("United Kingdom"))
    expect(row).to_contain_text("Redacted")
    expect(row).to_contain_text("eu-health-stays")


def test_rules_are_searched_and_read(anna: Visit) -> None:
    anna.open("rules")
    anna.page.evaluate("window.still = true")
    anna.page.get_by_label("Search").fill("health stays")
    expect(anna.page.get_by_role("status")).to_have_text(re.compile(r"^[1-9] of \d+ rules$"))
    assert anna.page.evaluate("window.still"), "only the list was exchanged"
    anna.page.get_by_role("link", name="Health data does not leave the EEA").click()
    expect(anna.page.get_by_role("region", name="Text").first).to_contain_text("forbid (")
    expect(anna.page.get_by_role("table")).to_contain_text("Refused")


def ask_about_london(page: Page) -> None:
    page.get_by_label("Other site").select_option("lon-1")
    page.get_by_label("Purpose").select_option("care")
    page.get_by_role("checkbox", name="health").check()
    page.get_by_role("button", name="Ask").click()


def test_a_question_is_answered_in_place(anna: Visit) -> None:
    anna.open("explain")
    anna.page.evaluate("window.still = true")
    ask_about_london(anna.page)
    answer = anna.page.get_by_role("region", name="No.")
    expect(answer).to_contain_text("Health data does not leave the EEA")
    assert anna.page.evaluate("window.still"), "only the answer was exchanged"
    assert "special=health" in anna.page.url, "the question can be kept as an address"
    answer.get_by_role("link").first.click()
    anna.arrives("Health data")


def test_a_cell_of_the_matrix_opens_its_explanation(anna: Visit) -> None:
    anna.open("matrix?purpose=care")
    anna.page.evaluate("window.still = true")
    row = anna.page.get_by_role("row", name="Confidential, health")
    row.get_by_role("link", name="Nothing to United Kingdom").click()
    answer = anna.page.get_by_role("region", name="No.")
    expect(answer).to_contain_text("Health data does not leave the EEA")
    assert anna.page.evaluate("window.still"), "only the answer was exchanged"
    row.get_by_role("link", name="In full to France").click()
    expect(anna.page.get_by_role("region", name=re.compile("^Yes, in full"))).to_be_visible()
    anna.picture("desk-matrix-cell")
    anna.page.get_by_label("Purpose").select_option("support")
    expect(anna.page.get_by_role("table")).to_contain_text("Recall for support")


def test_a_receipt_is_found_and_proved(anna: Visit) -> None:
    anna.open("receipts")
    anna.page.get_by_label("Outcome").select_option("partly_withheld")
    expect(anna.page.get_by_role("table").get_by_text("Done")).to_have_count(0)
    anna.page.get_by_label("Act").select_option("recall")
    anna.page.get_by_role("link", name="Recall").first.click()
    expect(anna.page.get_by_text("Verified.")).to_be_visible()
    expect(anna.page.get_by_role("img", name=re.compile("up the Merkle tree"))).to_be_visible()
    name = anna.page.url.rsplit("/", 1)[1]
    anna.open("receipts")
    anna.page.get_by_label("Search").fill(name[:8])
    expect(anna.page.locator("tbody tr")).to_have_count(1)
    anna.page.get_by_role("button", name="Verify now").click()
    anna.arrives("The log is whole")


def propose(visit: Visit, folder: Path) -> None:
    visit.open("changes")
    visit.page.get_by_label("The bundle's folder").set_input_files(folder)
    visit.page.get_by_role("button", name="Check and propose").click()


def test_other_rules_take_a_second_officer(anna: Visit, ben: Visit, candidate: Path) -> None:
    propose(anna, candidate)
    anna.arrives("Candidate")
    expect(anna.page.get_by_role("main")).to_contain_text("A second officer has to approve it")
    expect(anna.page.get_by_role("button", name="Approve")).to_have_count(0)
    impact = anna.page.get_by_role("region", name="What it would change here")
    expect(impact.get_by_role("table")).to_contain_text("Newly refused")
    expect(anna.page.get_by_role("region", name="Rule by rule")).to_contain_text(
        "de-workforce-stays"
    )

    ben.open("changes")
    ben.page.get_by_role("table").get_by_role("link").first.click()
    ben.arrives("Candidate")
    for sight, size in (("desk", (1280, 900)), ("phone", (390, 844))):
        ben.page.set_viewport_size({"width": size[0], "height": size[1]})
        ben.picture(f"{sight}-change")
        assert ben.barriers() == []
        assert ben.overhang() <= 0
    ben.page.get_by_role("button", name="Approve exactly this bundle").click()
    expect(ben.page.get_by_text("ben approved it")).to_be_visible()
    ben.picture("desk-change-approved")

    anna.open("receipts?act=policy-approved")
    expect(anna.page.locator("tbody tr")).to_have_count(1)
    expect(anna.page.locator("tbody tr")).to_contain_text("ben")


def test_a_bundle_with_a_mistake_is_not_proposed(anna: Visit, candidate: Path) -> None:
    rules = candidate / "packs" / "own.cedar"
    rules.write_text(RULE.replace("@basis", "@bassis"))
    propose(anna, candidate)
    table = anna.page.get_by_role("table", name="What is wrong")
    expect(table).to_contain_text("packs/own.cedar:2")
    anna.picture("desk-change-refused")


def test_what_ends_is_told_before_it_ends(anna: Visit) -> None:
    expect(anna.page.get_by_role("region", name="Ends soon")).to_contain_text("eu-scc")
    anna.open("expiry")
    items = anna.page.get_by_role("main").get_by_role("listitem")
    expect(items.first).to_contain_text("eu-scc")
    expect(items.first).to_contain_text("vir-1 (US-VA)")
    expect(items.filter(has_text="GDPR-adequate").first).to_be_visible()


def test_without_scripts_everything_works(visiting: Callable[..., Visit]) -> None:
    visit = visiting(java_script_enabled=False)
    visit.sign_in()
    page = visit.page
    for link in (
        "Rules",
        "Explain",
        "Matrix",
        "Changes",
        "Receipts",
        "Erasures",
        "What expires",
        "Overview",
    ):
        page.get_by_role("navigation", name="Console").get_by_role("link", name=link).click()
        visit.arrives(link)
    visit.open("explain")
    ask_about_london(page)
    expect(page.get_by_role("region", name="No.")).to_be_visible()
    visit.open("matrix?purpose=care")
    page.get_by_role("link", name="Redacted to United Kingdom").first.click()
    expect(page.get_by_role("region", name=re.compile("^Yes, with names"))).to_be_visible()
    visit.open("rules")
    page.get_by_label("Search").fill("health stays")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("status")).to_have_text(re.compile(r"^[1-9] of"))
    visit.open("receipts")
    page.get_by_label("Act").select_option("erase")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("table").get_by_role("link", name="Erasure").first.click()
    expect(page.get_by_text("Verified.")).to_be_visible()


def focused(page: Page) -> str:
    """What a screen reader would say stands under the focus."""
    told = "document.activeElement.id || document.activeElement.innerText"
    return str(page.evaluate(told)).strip()


def tab_to(page: Page, name: str) -> None:
    for _ in range(60):
        if focused(page) == name:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{name} cannot be reached with the tabulator")


def test_a_keyboard_is_enough(visiting: Callable[..., Visit]) -> None:
    visit = visiting()
    page = visit.page
    visit.open("sign-in")
    assert focused(page) == "key"
    page.keyboard.type(visit.site.officer)
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    visit.open("explain")
    tab_to(page, "site")
    page.keyboard.type("lon-1")
    tab_to(page, "Ask")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name=re.compile("^Yes, with names"))).to_be_visible()


def test_whose_rules_they_are_and_an_open_emergency_stand_on_every_page(
    visiting: Callable[..., Visit], tmp_path: Path
) -> None:
    """The last test: from here on officers sign the rules of this site."""
    visit = visiting()
    visit.sign_in()
    banner = visit.page.get_by_role("banner")
    expect(banner).to_contain_text("self-signed")

    desk, home = Desk(tmp_path), visit.site.home
    desk.found("Anna", "Ben", "Carla")
    shutil.copytree(home.path / "bundle" / "policies", desk.rules)
    desk.release("Anna", "Ben")
    folder, fingerprint = str(desk.publication), desk.fingerprint
    ask(home, "policy_install", folder=folder, fingerprint=fingerprint)
    visit.open("expiry")
    expect(banner).to_contain_text("version 1, signed by Anna and Ben")
    expect(visit.page.get_by_role("main")).to_contain_text("The word that these rules are the")

    request = tmp_path / "request.json"
    words = ("--site", "fra-1", "--ticket", "INC-2041", "--purpose", "care", "--to", "vir-1")
    desk.done("breakglass", "request", str(request), *words)
    for name in ("Anna", "Carla"):
        desk.done("breakglass", "approve", str(request), "--key", desk.key(name))
    ask(home, "breakglass_open", document=json.loads(request.read_text()))
    for path in PAGES.values():
        visit.open(path)
        alert = visit.page.get_by_role("alert").filter(has_text="Emergency INC-2041 is open")
        expect(alert).to_contain_text("Approved by Anna and Carla")
    for sight, size in (("desk", (1280, 900)), ("phone", (390, 844))):
        visit.page.set_viewport_size({"width": size[0], "height": size[1]})
        for path in ("", "receipts"):
            visit.open(path)
            visit.picture(f"{sight}-emergency-{path or 'overview'}")
            assert visit.barriers() == []
            assert visit.overhang() <= 0
    row = visit.page.get_by_role("row").filter(has_text="Opened an emergency")
    expect(row).to_contain_text("emergency")
    row.get_by_role("link").first.click()
    expect(visit.page.get_by_role("main")).to_contain_text("approved by Anna and Carla")
    visit.picture("phone-emergency-receipt")
    ask(home, "breakglass_close", ticket="INC-2041")
    visit.open("")
    expect(visit.page.get_by_text("is open")).to_have_count(0)
