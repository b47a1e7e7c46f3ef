"""The manual is built from docs/ without a broken link, and the gateway serves it to anybody."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from posixpath import normpath
from urllib.parse import unquote, urlsplit

import pytest

from services.gateway.manual import app as manual_app
from services.gateway.manual.pages import manual_files
from tests.gateway.conftest import Browser

ROOT = Path(__file__).parents[3]


class Links(HTMLParser):
    """What a page leads to, and the places in it that others may lead to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.places: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.targets += [value for name in ("href", "src") if (value := values.get(name))]
        self.places.add(values.get("id") or "")
        assert tag != "script", "the policy of the manual lets no script run"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manual, built strictly: a warning of MkDocs fails it."""
    folder = tmp_path_factory.mktemp("manual") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def built(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway of this process has the manual."""
    monkeypatch.setattr(manual_app, "manual_files", lambda: manual_files(site))


def test_a_manual_that_is_built_later_is_served(site: Path, tmp_path: Path) -> None:
    later = tmp_path / "site"
    assert manual_files(later) == {}
    shutil.copytree(site, later)
    assert "index.html" in manual_files(later)


def test_every_page_of_the_folder_is_in_it(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    assert len(pages) > 40
    for page in pages:
        assert (site / page).with_suffix(".html").is_file(), page
    assert "SentinelIQ" in (site / "index.html").read_text()


def test_every_link_leads_to_a_page_and_a_place_of_it(site: Path) -> None:
    pages = {
        path.relative_to(site).as_posix(): Links(path.read_text()) for path in site.rglob("*.html")
    }
    checked = 0
    for name, links in pages.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme in {"http", "https", "mailto"}:
                continue
            folder = name.rpartition("/")[0]
            path = normpath(f"{folder}/{parts.path}".strip("/")) if parts.path else name
            assert (site / path).is_file(), f"{name} leads to {target}"
            if parts.fragment and path in pages:
                assert unquote(parts.fragment) in pages[path].places, f"{name} leads to {target}"
            checked += 1
    assert checked > 1_000


@pytest.mark.usefixtures("built")
def test_anybody_reads_it_and_nothing_comes_from_elsewhere(
    browser_for: Callable[[], Browser], site: Path
) -> None:
    browser = browser_for()
    first = browser.client.get("/manual")
    assert first.status_code == 200
    assert str(first.url).endswith("/manual/index.html")
    assert first.headers["content-security-policy"].startswith("default-src 'none'")
    page = browser.client.get("/manual/adr/0001-synchronous-database-access.html")
    assert page.content == (site / "adr" / "0001-synchronous-database-access.html").read_bytes()
    assert browser.client.get("/manual/manual.css").headers["content-type"].startswith("text/css")
    assert browser.client.post("/manual/index.html").status_code == 405


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    "path",
    [
        "/manual/none.html",
        "/manual/%2e%2e/app.py",
        "/manual/..%2f..%2fapp.py",
        "/manual//etc/passwd",
        "/manual/index.html%00",
    ],
    ids=["missing", "encoded dots", "encoded slashes", "absolute", "NUL"],
)
def test_nothing_else_is_reached(browser_for: Callable[[], Browser], path: str) -> None:
    answer = browser_for().client.get(path)
    assert answer.status_code in {400, 404}
    assert b"import" not in answer.content


def test_without_its_pages_the_address_says_how_to_build_them(
    browser_for: Callable[[], Browser], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(manual_app, "manual_files", lambda: manual_files(tmp_path))
    answer = browser_for().client.get("/manual")
    assert answer.status_code == 404
    assert "make manual" in answer.text
