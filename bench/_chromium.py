"""Shared by the measurements of the console: Chromium, and a person who has signed in."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright
from pydantic import SecretStr

from sentineliq.local.stack import Stack
from shared.auth import issue_token


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        yield browser
        browser.close()


def sign_in(page: Page, stack: Stack) -> None:
    """Sign an analyst in, whose first page is the overview."""
    secret = SecretStr(stack.environment["SENTINELIQ_SECRET_KEY"])
    token = issue_token(secret, actor="bench", tenant="acme", role="operator")
    page.goto("/console/sign-in")
    page.get_by_text("With a token instead").click()
    page.fill("#token", token)
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/")
