"""A served site, and officers who visit its console with a real browser.

Whatever a visit asks for must come from the site itself, and nothing may run or be shown against
the pages' content security policy: that is checked of every visit in every test. Pictures of the
pages are kept in ``tests/browser/output``.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from memory_fabric_api import Listening, serve
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

from memory_fabric import operations
from memory_fabric.wiring import Home, create_home, open_home

STARTER = Path(__file__).parents[2] / "policies"
RULE = """
@id("de-workforce-stays")
@title("Data on employees in Germany stays in Germany")
@basis("Works agreement of 1 March 2026, s.4")
forbid (principal, action in Sov::Action::"share", resource in Sov::Region::"DE")
when { resource.personal && context.purpose == Sov::Purpose::"operations" }
unless { principal in Sov::Region::"DE" };
"""
CHROMIUM = shutil.which("chromium")
OUTPUT = Path(__file__).parent / "output"
OPERATOR = {"os_user": "tester"}
WATCH = """
document.addEventListener("securitypolicyviolation",
  event => console.error("Content Security Policy: " + event.violatedDirective));
"""


@dataclass(frozen=True)
class Served:
    """A site's console and keys for it."""

    url: str
    officer: str
    second: str
    app: str
    home: Home


@dataclass
class Visit:
    """One browser window, and what it asked for."""

    site: Served
    context: BrowserContext
    page: Page
    foreign: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(f"{self.site.url}/console/{path}")

    def sign_in(self, key: str | None = None) -> None:
        self.open("sign-in")
        self.page.get_by_label("Your key").fill(key or self.site.officer)
        self.page.get_by_role("button", name="Sign in").click()

    def arrives(self, title: str) -> None:
        """The page with this heading comes up."""
        heading = self.page.get_by_role("heading", level=1)
        expect(heading).to_have_text(re.compile(f"^{re.escape(title)}"))

    def picture(self, name: str) -> None:
        OUTPUT.mkdir(exist_ok=True)
        self.page.screenshot(path=OUTPUT / f"{name}.png", full_page=True)

    def overhang(self) -> int:
        """Pixels by which the page is wider than the window."""
        told = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(told))

    def barriers(self) -> list[str]:
        """What axe finds serious or critical on the page."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{item['id']}: {item['help']}: {node['html'][:200]}"
            for item in found
            if item["impact"] in ("serious", "critical")
            for node in item["nodes"]
        ]


def _asked(operation: str, home: Home, **params: Any) -> dict[str, Any]:
    return operations.run(home, operation, OPERATOR, params)


def _live(home: Home, folder: Path) -> None:
    """A day in the life of a site: links, memories, recalls, an erasure."""
    for other in ("lyo-1", "lon-1", "vir-1"):
        _asked("link", home, address=str(folder / other))
    for number in range(4):
        memory = {
            "memory": f"Prefers calls before nine, says {number}.",
            "subjects": [f"p{number}"],
        }
        _asked("add", home, memories=[memory])
    _asked("search", home, query="calls", purpose="care", all_subjects=True, reach="grid")
    _asked("forget", home, subject="p1")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("grid")
    soon = (datetime.now(UTC) + timedelta(days=20)).date().isoformat()
    for name, region in (("fra-1", "DE"), ("lyo-1", "FR"), ("lon-1", "GB"), ("vir-1", "US-VA")):
        instruments = {"eu-scc": soon} if name == "vir-1" else {}
        create_home(
            folder / name, site_id=name, region=region, tenants=["acme"], instruments=instruments,
            transfer_risk_assessed=bool(instruments),
        )  # fmt: skip
    with open_home(folder / "fra-1") as frankfurt:
        _live(frankfurt, folder)
    with open_home(folder / "lon-1") as london:
        _asked("search", london, query="calls", purpose="care", all_subjects=True, reach="grid")
    home = open_home(folder / "fra-1")
    keys = {
        name: _asked("app_add", home, name=name, role=role, purposes=["care", "support"])["key"]
        for name, role in (("anna", "compliance"), ("ben", "compliance"), ("care", "app"))
    }
    listening: list[Listening] = []
    ready = threading.Event()

    def opened(doors: Listening) -> None:
        listening.append(doors)
        ready.set()

    server = threading.Thread(target=serve, args=(home,), kwargs={"port": 0, "ready": opened})
    server.start()
    assert ready.wait(30)
    yield Served(listening[0].url, keys["anna"], keys["ben"], keys["care"], home)
    listening[0].stop()
    server.join(30)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium here, so the console is not tried in a browser")
    with sync_playwright() as playwright:
        # Debian's own; inside a container it has no rights for a sandbox of its own.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visiting(browser: Browser, site: Served) -> Iterator[Callable[..., Visit]]:
    """Opens windows, with Playwright's own options; at the end each must have stayed at home."""
    visits: list[Visit] = []

    def visit(**options: Any) -> Visit:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        context.set_default_timeout(10_000)
        context.add_init_script(WATCH)
        made = Visit(site, context, context.new_page())
        visits.append(made)

        def asked(request: Request) -> None:
            if not request.url.startswith(f"{site.url}/console"):
                made.foreign.append(request.url)

        def said(message: ConsoleMessage) -> None:
            if "Content Security Policy" in message.text:
                made.violations.append(message.text)

        context.on("request", asked)
        made.page.on("console", said)
        return made

    yield visit
    for made in visits:
        made.context.close()
        assert made.foreign == []
        assert made.violations == []


@pytest.fixture
def ben(visiting: Callable[..., Visit]) -> Visit:
    """A second officer."""
    visit = visiting()
    visit.sign_in(visit.site.second)
    return visit


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    """The folder of a bundle with one rule more."""
    folder = tmp_path / "policies"
    shutil.copytree(STARTER, folder)
    (folder / "packs" / "own.cedar").write_text(RULE)
    return folder


@pytest.fixture
def anna(visiting: Callable[..., Visit]) -> Visit:
    """An officer, signed in, on a desk."""
    visit = visiting()
    visit.sign_in()
    return visit
