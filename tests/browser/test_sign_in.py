"""Signing in and out of the console, and sessions that several tabs share."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Request, expect

from tests.acceptance.sample_mall import PEOPLE
from tests.browser.chromium import WatchedPage
from tests.browser.conftest import Visitors, sign_in

REFRESH = "/api/v2/auth/refresh"
# An access token lives for ten minutes, and is renewed a little before.
AT_ITS_END_MS = 595_000
READ_ME = "async () => (await import('/pages/client/requests.js')).read('/api/v2/me')"


async def expect_signed_in(page: WatchedPage) -> None:
    await expect(page.page.get_by_role("button", name="Sign out")).to_be_visible()


async def expect_signed_out(page: WatchedPage) -> None:
    await expect(page.page.get_by_role("button", name="Sign in")).to_be_visible()


async def test_administrator_signs_in_and_out(visitors: Visitors) -> None:
    page = await visitors.admin()
    await expect_signed_in(page)
    await page.page.get_by_role("button", name="Sign out").click()
    await expect_signed_out(page)
    await page.page.reload()
    await expect_signed_out(page)


async def test_wrong_password_is_said_with_its_trace_and_may_be_tried_again(visitors: Visitors) -> None:
    page = await visitors.page()
    await page.goto("/console/")
    await sign_in(page, PEOPLE["admin"][0], "not the password")
    alert = page.page.get_by_role("alert")
    await expect(alert).to_contain_text("E-mail or password is wrong")
    await expect(alert).to_contain_text("trace")
    await sign_in(page, *PEOPLE["admin"])
    await expect_signed_in(page)


async def test_empty_form_is_not_sent(visitors: Visitors) -> None:
    page = await visitors.page()
    await page.goto("/console/")
    await page.page.get_by_role("button", name="Sign in").click()
    await expect(page.page.get_by_role("alert")).to_contain_text("Fill in both fields")
    await expect(page.page.get_by_label("E-mail")).to_be_focused()


async def test_customer_is_told_that_the_console_is_not_for_customers(visitors: Visitors) -> None:
    page = await visitors.page()
    await page.goto("/console/")
    await sign_in(page, *PEOPLE["customer"])
    await expect(page.page.get_by_role("heading")).to_contain_text("may not run the mall")
    assert await page.violations() == []


async def test_reloaded_page_goes_on_without_a_password(visitors: Visitors) -> None:
    page = await visitors.admin()
    await expect_signed_in(page)
    await page.page.reload()
    await expect_signed_in(page)


async def test_second_tab_needs_no_password_and_signing_out_ends_both(visitors: Visitors) -> None:
    page = await visitors.admin()
    await expect_signed_in(page)
    other = await visitors.page(beside=page)
    await other.goto("/console/")
    await expect_signed_in(other)
    await page.page.get_by_role("button", name="Sign out").click()
    await expect_signed_out(other)


async def test_two_tabs_whose_tokens_end_share_one_refresh(visitors: Visitors) -> None:
    page = await visitors.admin()
    await expect_signed_in(page)
    other = await visitors.page(beside=page)
    await other.goto("/console/")
    await expect_signed_in(other)
    asked: list[Request] = []
    page.page.context.on("request", lambda one: asked.append(one) if one.url.endswith(REFRESH) else None)
    for tab in (page, other):
        await tab.page.evaluate(
            f"() => {{ const late = Date.now() + {AT_ITS_END_MS}; Date.now = () => late; }}"
        )
    await asyncio.gather(*(tab.page.evaluate(READ_ME) for tab in (page, other)))
    assert len(asked) == 1


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_sign_in_is_accessible(visitors: Visitors, scheme: str) -> None:
    page = await visitors.page(scheme)
    await page.goto("/console/")
    await expect_signed_out(page)
    assert await page.violations() == []
    await page.page.get_by_role("button", name="Sign in").click()
    await expect(page.page.get_by_role("alert")).to_be_visible()
    assert await page.violations() == []


async def test_key_changes_the_theme_and_the_page_remembers_it(visitors: Visitors) -> None:
    page = await visitors.admin(scheme="dark")
    await expect_signed_in(page)
    await page.page.keyboard.press("t")
    await expect(page.page.locator("html")).to_have_attribute("data-theme", "light")
    await page.page.reload()
    await expect(page.page.locator("html")).to_have_attribute("data-theme", "light")
    await expect_signed_in(page)


async def test_german_browser_gets_german_words(visitors: Visitors) -> None:
    page = await visitors.page(locale="de-DE")
    await page.goto("/console/")
    await expect(page.page.get_by_role("button", name="Anmelden")).to_be_visible()
    await expect(page.page.locator("html")).to_have_attribute("lang", "de")
    await page.page.get_by_role("button", name="EN", exact=True).click()
    await expect_signed_out(page)
