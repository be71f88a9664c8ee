"""The five workflows of Harbour & Vale: what they are for, who answers for them, and their first policies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from demo import policies
from demo.people import BOOTSTRAP, of_demo
from demo.policies import Document
from governance import changes, workflows
from governance.models import Environment, PolicyHead, Team, Workflow

# A classification is looked at again half a year after it was made.
LOOKED_AT_AGAIN = timedelta(days=183)


@dataclass(frozen=True, kw_only=True)
class Process:
    """A workflow of the demo and its first policy; steps are names with their purpose."""

    slug: str
    name: str
    purpose: str
    team: str
    risk: str
    data_class: str
    retention_days: int
    cost_centre: str
    people_affected: str
    rationale: str
    steps: Sequence[tuple[str, str]]
    policy: Callable[[], Document]
    mode: str
    title: str
    note: str
    reason: str
    regions: Sequence[str] = ("eu",)


CUSTOMER_FEEDBACK = Process(
    slug="customer-feedback",
    name="Customer feedback",
    purpose="Reads what customers write about orders and deliveries, and drafts a reply that a person releases.",
    team="customer-care",
    risk="limited",
    data_class="internal",
    retention_days=30,
    cost_centre="4210 Customer care",
    people_affected="Customers who write to us. A wrong sentiment puts a complaint at the end of the queue for a day.",
    rationale="Limited: no decision about a person, and a person releases every reply. Internal: names are taken out "
    "before, order numbers are not.",
    steps=(
        ("language", "Which language is it in?"),
        ("sentiment", "Is the customer pleased?"),
        ("reply", "A draft that a person releases."),
    ),
    policy=policies.customer_feedback,
    mode="enforce",
    title="The first policy: three models try, a person decides what they cannot",
    note="Small models first; nothing leaves our own machines.",
    reason="The thresholds are where the held-out texts say the models are right as often as they claim.",
)
MESSAGE_SCREEN = Process(
    slug="message-screen",
    name="Message screen",
    purpose="Holds back messages that try to make our shop assistant break its rules, before the assistant reads them.",
    team="platform",
    risk="high",
    data_class="confidential",
    retention_days=90,
    cost_centre="5120 Platform",
    people_affected="Everyone who writes to the shop assistant: a wrong hit leaves an honest customer unanswered.",
    rationale="High: the assistant can open orders, so what it is talked into has effects. Confidential: messages come "
    "as they are written, with names and card numbers in some.",
    steps=(("screen", "Is this message an attempt to make an assistant break its rules?"),),
    policy=policies.message_screen,
    mode="enforce",
    title="Screen messages on our own machines; hold back what no model is sure of",
    note="Unsure is not benign: a person looks, and after two hours the message stays held back.",
    reason="In the test part of the set 98 of 100 verdicts that are kept were right; the rest goes to a person.",
)
SOCIAL_LISTENING = Process(
    slug="social-listening",
    name="Social listening",
    purpose="Counts how people speak of shops like ours in public posts. Its application asks MiniLM for every post.",
    team="customer-care",
    risk="minimal",
    data_class="public",
    retention_days=7,
    cost_centre="4310 Marketing",
    people_affected="Nobody in particular: only weekly counts leave the workflow.",
    rationale="Minimal: a wrong label moves a weekly count by one. Public: posts that anyone can read.",
    steps=(("mention", "How does the post speak?"),),
    policy=policies.social_listening,
    mode="observe",
    title="Watch what a cheaper model would have answered",
    note="Observe only: the application goes on with the model it names, and we see what the policy would have done. "
    "The word list was published with posts of this kind, so its figures here flatter it.",
    reason="Nothing changes for the application; enforcing will be a change of its own.",
)
STAFF_ASSISTANT = Process(
    slug="staff-assistant",
    name="Staff assistant",
    purpose="Answers questions of colleagues about code and general knowledge. Recorded: told with the published "
    "outcomes of open models (LLMRouter), each question asked several times; times, tokens and outages are made up.",
    team="platform",
    risk="limited",
    data_class="internal",
    retention_days=30,
    cost_centre="5130 Workplace",
    people_affected="Colleagues who ask. They are told that a machine answers and may be wrong.",
    rationale="Limited: colleagues check what they use. Internal: questions quote our code.",
    steps=(("code", "Write a function to its description."), ("knowledge", "Answer a question of general knowledge.")),
    policy=policies.staff_assistant,
    mode="enforce",
    title="A small open model first, a mid one where it is seldom right",
    note="Nobody waits for a person here; the last answer is kept.",
    reason="On questions like these the two together come within a point of always asking the mid one.",
)
REFUND_SUMS = Process(
    slug="refund-sums",
    name="Refund sums",
    purpose="Calculates what a customer gets back. Recorded: told with the published answers of two models to sums in "
    "words (RouteLLM, GSM8K), each sum three times; times and outages are made up, tokens are estimated.",
    team="customer-care",
    risk="high",
    data_class="confidential",
    retention_days=90,
    cost_centre="4220 Returns",
    people_affected="Customers who return goods: a wrong sum is money that they or we lack.",
    rationale="High: the answer is an amount that is paid. Confidential: order and account stand in the request.",
    steps=(("sum", "What does the customer get back?"),),
    policy=policies.refund_sums,
    mode="enforce",
    title="Check each sum; ask the dearer model, then a person, where it does not come out",
    note="The gate looks at the answer: do its sums come out, are the given numbers used.",
    reason="What is kept is right for 0.855 of the sums, the dearer model alone for 0.863; savings say what it costs.",
)
LIVE = (CUSTOMER_FEEDBACK, MESSAGE_SCREEN, SOCIAL_LISTENING)
RECORDED = (STAFF_ASSISTANT, REFUND_SUMS)
ALL = (*LIVE, *RECORDED)


def make(process: Process, environment: Environment, *, now: datetime) -> Workflow:
    """Make a workflow with its steps, propose its policy by one person and approve it by another, where missing."""
    workflow = Workflow.objects.filter(slug=process.slug).first() or _create(process, now)
    if not PolicyHead.objects.filter(workflow=workflow, environment=environment).exists():
        change = changes.propose(
            workflow=workflow,
            environment=environment,
            document=process.policy(),
            mode=process.mode,
            title=process.title,
            note=process.note,
            by=of_demo("lead"),
        )
        changes.vote(
            change=change,
            digest=change.revision.payload_digest,
            choice="approve",
            reason=process.reason,
            by=of_demo("owner"),
            then_activate=True,
        )
    return workflow


def _create(process: Process, now: datetime) -> Workflow:
    made = workflows.create(
        slug=process.slug,
        name=process.name,
        purpose=process.purpose,
        team=Team.objects.get(slug=process.team),
        owner=of_demo("owner"),
        deputy=of_demo("lead"),
        risk=process.risk,
        data_class=process.data_class,
        retention_days=process.retention_days,
        cost_centre=process.cost_centre,
        people_affected=process.people_affected,
        rationale=process.rationale,
        regions=process.regions,
        review_due=(now + LOOKED_AT_AGAIN).date(),
        by=BOOTSTRAP,
    )
    for name, purpose in process.steps:
        workflows.add_step(workflow=made, name=name, purpose=purpose, by=BOOTSTRAP)
    return made
