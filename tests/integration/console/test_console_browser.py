"""The console in a real browser: sign-in, map, list, live charts, a button, an alarm, dark mode, a phone's width."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.integration.console.conftest import Watched
from tests.integration.console.palette_png import shrink

pytestmark = pytest.mark.browser
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}


def point_count(page: Page, chart: str) -> tuple[int, float]:
    """How many points a chart has, and the time of the newest."""
    box = page.locator(f'[data-chart="{chart}"]')
    return int(box.get_attribute("data-points") or 0), float(box.get_attribute("data-newest") or 0)


def test_without_a_session_the_page_says_how_to_sign_in(browser: Browser, console_url: str) -> None:
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.goto(console_url.split("/login")[0] + "/")
    expect(page.get_by_text("mcis console")).to_be_visible()
    expect(page.locator("#page")).to_be_hidden()
    context.close()


def test_the_sign_in_link_works_once(browser: Browser, console: Watched, console_url: str) -> None:
    expect(console.page.locator("#link-text")).to_have_text("live")
    context = browser.new_context()
    answer = context.new_page().goto(console_url)
    assert answer is not None
    assert answer.status in {401, 403, 410}
    context.close()


def test_map_shows_every_vm_and_the_mcis(console: Watched) -> None:
    page = console.page
    expect(page.locator("#map .vm")).to_have_count(18)
    expect(page.locator("#map .area")).to_have_attribute("d", re.compile(r"^M.+L.+Z$"))
    name = page.locator("#chooser option:checked").inner_text().split(" / ")[1]
    expect(page.locator("#map .area-name")).to_have_text(name)
    expect(page.locator("#map .area-status")).to_have_text(re.compile(r"\(R:\d+/18\)"))
    assert page.locator("#map .ground").evaluate("node => node.getBBox().width") > 300
    places = page.locator("#map .vm").evaluate_all("nodes => nodes.map(node => node.getAttribute('transform'))")
    assert len(set(places)) == 18


def test_list_shows_every_vm_and_finds_one(console: Watched) -> None:
    page = console.page
    rows = page.locator("#vm-rows tr[data-vm]")
    expect(rows).to_have_count(18)
    page.locator("#search").fill("frankfurt")
    expect(rows).to_have_count(1)
    page.locator("#search").fill("")
    expect(rows).to_have_count(18)
    page.get_by_role("button", name="Name", exact=True).click()
    names = rows.evaluate_all("nodes => nodes.map(node => node.dataset.vm)")
    assert names[0] == min(names)
    expect(rows.first.locator(".c-cpu .n")).to_have_text(re.compile(r"\d %$"))


def test_charts_move_by_themselves(console: Watched) -> None:
    page = console.page
    expect(page.locator('[data-chart="cpu"]')).to_have_attribute("data-points", re.compile(r"^[1-9]"), timeout=15_000)
    before = point_count(page, "cpu")
    page.wait_for_timeout(5000)
    after = point_count(page, "cpu")
    assert after[1] > before[1] or after[0] > before[0]
    assert page.locator(".plots canvas").count() == 5


def test_a_vm_is_chosen_on_the_map_and_suspended(console: Watched) -> None:
    page = console.page
    dot = page.locator("#map .vm").first
    name = dot.get_attribute("data-vm")
    dot.click()
    expect(page.locator("#vm-name")).to_have_text(str(name))
    expect(page.locator("#charts-of")).to_have_text(str(name))
    page.locator('#vm-actions [data-action="suspend"]').click()
    expect(page.locator("#vm-state")).to_have_text("Suspended", timeout=20_000)
    expect(page.locator("#status")).to_have_text(re.compile(r"R:17/18"), timeout=10_000)
    suspend = page.locator('#vm-actions [data-action="suspend"]')
    expect(suspend).to_have_attribute("aria-disabled", "true")
    expect(suspend).to_have_attribute("title", "The VM is not Running.")
    page.locator('#vm-actions [data-action="resume"]').click()
    expect(page.locator("#vm-state")).to_have_text("Running", timeout=20_000)
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()


def test_terminate_asks_first(console: Watched) -> None:
    page = console.page
    page.locator('#actions [data-action="terminate"]').click()
    expect(page.locator("#ask")).to_be_visible()
    expect(page.locator("#ask-text")).to_contain_text("18 VMs")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#ask")).to_be_hidden()
    expect(page.locator("#status")).to_contain_text("R:18/18")


def test_an_alarm_shows_in_list_badge_and_map(console: Watched) -> None:
    page = console.page
    expect(page.locator("#alarm-list .firing")).to_have_count(1)
    expect(page.locator("#badge")).to_have_text("1")
    expect(page.locator("#map .vm.firing")).to_have_count(1)
    expect(page.locator("#threshold-rows tr").first).to_be_visible()


def test_events_come_in_and_can_be_filtered(console: Watched) -> None:
    page = console.page
    rows = page.locator("#event-list li")
    expect(rows.first).to_be_visible()
    page.locator("#event-filter").fill("alarm.firing")
    expect(rows.first.locator(".type")).to_have_text("alarm.firing")
    page.locator("#event-filter").fill("no such event")
    expect(rows).to_have_count(0)


def test_dark_mode_follows_the_system_and_the_button(console: Watched) -> None:
    page = console.page
    html = page.locator("html")
    page.emulate_media(color_scheme="dark")
    expect(html).to_have_attribute("data-theme", "dark")
    page.locator("#theme").click()
    expect(html).to_have_attribute("data-theme", "light")
    page.evaluate("localStorage.clear()")


def test_korean_by_the_button(console: Watched) -> None:
    page = console.page
    page.locator("#language").click()
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    expect(page.locator("#alarms-title")).to_have_text("알람")
    page.evaluate("localStorage.clear()")


def test_a_phone_needs_no_sideways_scroll(console: Watched) -> None:
    page = console.page
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator("#map .vm")).to_have_count(18)
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.body.scrollWidth") <= 390
    assert page.locator("#list .scroll").evaluate("node => node.scrollWidth <= node.clientWidth")
    fold = page.locator(".fold").first
    expect(fold).to_have_attribute("aria-expanded", "true")
    fold.click()
    expect(page.locator(".fold").first).to_have_attribute("aria-expanded", "false")


def test_what_others_wrote_is_never_markup(console: Watched) -> None:
    page = console.page
    text = "<img src=x onerror=document.title='taken'><b>bold</b>"
    page.evaluate(
        """async (text) => {
          const { state, emit } = await import("/js/store.js");
          const event = { type: "vm.running", subject: text, time: "2026-01-01T00:00:00Z", data: { text } };
          const one = (i) => ({ ...event, sequence: 1e9 + i });
          state.events = Array.from({ length: 500 }, (_, i) => one(500 - i));
          state.infras[0].vms[0].error = text;
          state.infras[0].vms[0].cloudId = text;
          emit("events");
          emit("infras");
        }""",
        text,
    )
    expect(page.locator("#event-list li")).to_have_count(500)
    expect(page.locator("#event-list .text").first).to_have_text(text)
    assert page.locator("#event-list img, #event-list b, #panel img, #vm-rows img").count() == 0
    assert page.title() != "taken"


def test_a_hole_in_the_data_is_a_hole_in_the_line(console: Watched) -> None:
    table = console.page.evaluate(
        """async () => {
          const { ChartData } = await import("/js/chartdata.js");
          const data = new ChartData(["a", "b"], ["cpu.usage_active"]);
          const now = Math.floor(Date.now() / 20000) * 20 - 60;
          const series = (vm, times) => ({ vm, field: "usage_active", times, values: times.map(() => 5) });
          const past = [now - 60, now - 50, now - 20, now - 10];
          const both = [series("a", past), series("b", past.slice(1))];
          data.readHistory([{ column: "cpu.usage_active", series: both }], 10);
          for (const at of [0, 2, 4, 20, 22]) data.add("a", now + at, { "cpu.usage_active": 7 });
          for (const at of [1, 3, 5, 15, 17, 23]) data.add("b", now + at, { "cpu.usage_active": -9 });
          const [xs, a, b] = data.table(["cpu.usage_active"], [1], 0);
          return { xs: xs.map((x) => x - now), a: a.map((v) => v ?? String(v)), b: b.map((v) => v ?? String(v)) };
        }"""
    )
    assert table["xs"][:5] == [-60, -50, -40, -20, -10]
    assert table["a"][:5] == [5, 5, "null", 5, 5]
    assert table["b"][:3] == ["null", 5, "null"]
    a = dict(zip(table["xs"], table["a"], strict=True))
    assert [a[at] for at in (0, 2, 4, 20, 22)] == [7] * 5
    assert "null" in [a[at] for at in table["xs"] if 4 < at < 20]


def test_a_lost_server_is_said_and_mended(console: Watched) -> None:
    page = console.page
    expect(page.locator("#link-text")).to_have_text("live")
    page.route("**/api/v1/**", lambda route: route.abort())
    page.reload()
    expect(page.locator("#banner")).to_be_visible(timeout=10_000)
    page.unroute("**/api/v1/**")
    expect(page.locator("#link-text")).to_have_text("live", timeout=15_000)
    expect(page.locator("#map .vm")).to_have_count(18)
    console.errors[:] = [error for error in console.errors if "ERR_" not in error]  # the browser reports the cut itself


def test_pictures(browser: Browser, console: Watched, tmp_path: Path) -> None:
    """The pictures of the documentation: kept where MCISD_SCREENSHOTS names a folder."""
    folder = Path(os.environ.get("MCISD_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    page = console.page
    page.wait_for_timeout(8000)
    for size, device in ((DESK, "desk"), (PHONE, "phone")):
        page.set_viewport_size({"width": size["width"], "height": size["height"]})
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            page.wait_for_timeout(1500)
            picture = shrink(browser, page.screenshot())
            (folder / f"{device}-{theme}.png").write_bytes(picture)
            assert len(picture) < 300_000
