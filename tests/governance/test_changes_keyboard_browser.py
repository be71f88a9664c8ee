"""Two people in two browsers, by keyboard alone: one proposes, the other votes and makes it live; two vote at once."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Locator, Page, expect

from governance import changes
from governance.models import Change, PolicyHead, User, Vote
from tests import cast as casting
from tests.look.test_pages_browser import sign_in

pytestmark = pytest.mark.browser

# What is wrong with where the focus is: nothing, or a word. `window.before` is where it was.
STOP = """() => {
  const here = document.activeElement, style = getComputedStyle(here), box = here.getBoundingClientRect();
  const before = window.before;
  window.before = here;
  if (here === document.body) return "nowhere";
  if (here.tabIndex > 0) return "out of order by tabindex";
  const back = before?.isConnected && before !== here
    && !(before.compareDocumentPosition(here) & Node.DOCUMENT_POSITION_FOLLOWING);
  if (back) return "before what came before";
  const ringed = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  if (!ringed && style.boxShadow === "none") return "without a ring";
  if (box.bottom <= 0 || box.top >= innerHeight || box.right <= 0 || box.left >= innerWidth) return "out of sight";
  const seen = document.elementFromPoint(
    box.left + box.width / 2, box.top + Math.min(box.height / 2, innerHeight - box.top - 1)
  );
  const near = seen && (here.contains(seen) || seen.contains(here) || here.labels?.length);
  return near ? "" : "covered by " + (seen ? seen.outerHTML.slice(0, 80) : "nothing");
}"""
MOST_STOPS = 160


def open_as(browser: Browser, site: str, person: User, path: str) -> Page:
    """A browser of this person's own."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce").new_page()
    sign_in(page, site, person)
    page.goto(site + path)
    return page


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until the focus is there; at each stop it can be seen, in the order of the page."""
    target = wanted.element_handle()
    for _stop in range(MOST_STOPS):
        page.keyboard.press("Tab")
        page.wait_for_timeout(10)
        wrong = page.evaluate(STOP)
        where = page.evaluate("document.activeElement.outerHTML.slice(0, 120)")
        assert not wrong, f"{wrong}: {where}"
        if page.evaluate("(target) => document.activeElement === target", target):
            return
    pytest.fail(f"no way by Tab to {wanted}")


def write(page: Page, text: str) -> None:
    """Put a text in place of what stands in the field that has the focus."""
    page.keyboard.press("Control+A")
    page.keyboard.type(text)


def enter(page: Page) -> None:
    """Press what has the focus, which leads to another page."""
    with page.expect_navigation():
        page.keyboard.press("Enter")


def frozen(cast: casting.Cast, *, now: bool) -> None:
    """Let nothing become live, or lift that."""
    days = {
        "start": (timezone.now() - timedelta(days=1)).isoformat(),
        "end": (timezone.now() + timedelta(days=1)).isoformat(),
    }
    freezes = [{"name": "Christmas trade", **days}] if now else []
    casting.make_rules(cast, {"name": "One vote", "votes": 1}, freezes=freezes)


def test_one_proposes_and_another_votes_and_activates(live_site: str, browser: Browser) -> None:
    cast = casting.make_cast()
    casting.make_live(cast)
    frozen(cast, now=True)
    author = open_as(browser, live_site, cast.integrator, reverse("workflow", args=[cast.workflow.slug]))
    tab_to(author, author.locator("main a[href*='/change/']").first)
    enter(author)
    tab_to(author, author.locator("[name=title]"))
    write(author, "Keep more of the answers")
    tab_to(author, author.locator("[name=step-0]"))
    write(author, "0.6")
    tab_to(author, author.locator("[name=note]"))
    write(author, "People see fewer cases")
    tab_to(author, author.get_by_role("button", name="Submit for approval"))
    enter(author)
    expect(author.get_by_role("heading", level=1)).to_have_text("Keep more of the answers")
    change = Change.objects.get(title="Keep more of the answers")

    voter = open_as(browser, live_site, cast.owner, reverse("home"))
    tab_to(voter, voter.locator(f"main a[href='{reverse('change', args=[change.pk])}']").first)
    enter(voter)
    tab_to(voter, voter.locator("[name=reason]"))
    write(voter, "The evaluation says so")
    tab_to(voter, voter.get_by_role("button", name="Approve"))
    enter(voter)
    expect(voter.locator("main")).to_contain_text("Christmas trade lets nothing become live until")
    frozen(cast, now=False)
    voter.keyboard.press("F5")
    voter.wait_for_load_state()
    tab_to(voter, voter.get_by_role("button", name="Activate now"))
    enter(voter)
    expect(voter.locator("main")).not_to_contain_text("Not now")
    head = PolicyHead.objects.get(workflow=cast.workflow)
    assert head.change_id == change.pk
    assert Vote.objects.get(revision__change=change).reason == "The evaluation says so"
    # Who proposed it reads that it is live, and has no way to vote on his way through the page.
    author.keyboard.press("F5")
    author.wait_for_load_state()
    assert author.get_by_role("button", name="Approve").count() == 0
    author.context.close()
    voter.context.close()


def test_of_two_who_vote_at_once_the_one_with_a_stale_page_keeps_what_he_wrote(
    live_site: str, browser: Browser
) -> None:
    cast = casting.make_cast()
    casting.make_live(cast)
    casting.make_rules(cast, {"name": "Two votes", "votes": 2})
    change = casting.make_change(cast, 0.6)
    path = reverse("change", args=[change.pk])
    slow = open_as(browser, live_site, cast.owner, path)
    quick = open_as(browser, live_site, cast.second_lead, path)
    tab_to(slow, slow.locator("[name=reason]"))
    write(slow, "Too many wrong answers at 0.6; line one\nline two")
    # Its author writes another revision while both read.
    changes.revise(change=change, document=casting.make_document(0.65), note="A little less", by=cast.integrator)
    tab_to(quick, quick.get_by_role("button", name="Approve"))
    enter(quick)
    expect(quick.locator("main")).to_contain_text("Read revision 2")
    tab_to(slow, slow.get_by_role("button", name="Request changes"))
    enter(slow)
    told = slow.get_by_role("alert")
    expect(told).to_contain_text("Your vote was not taken")
    expect(told).to_contain_text("Read revision 2")
    assert slow.locator("[name=reason]").input_value() == "Too many wrong answers at 0.6; line one\nline two"
    assert not Vote.objects.filter(revision__change=change).exists()

    # Both read on and vote on what it says now.
    tab_to(quick, quick.get_by_role("button", name="Approve"))
    enter(quick)
    tab_to(slow, slow.get_by_role("button", name="Request changes"))
    enter(slow)
    votes = dict(Vote.objects.filter(revision__change=change).values_list("voter__name", "choice"))
    assert votes == {"Second lead": "approve", "Owner": "request_changes"}
    assert {
        vote.revision.number for vote in Vote.objects.select_related("revision") if vote.revision.change_id == change.pk
    } == {2}
    assert "line two" in Vote.objects.get(voter=cast.owner, revision__change=change).reason
    slow.context.close()
    quick.context.close()
