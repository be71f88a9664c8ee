"""The people of Harbour & Vale, by role, and their two teams."""

from dataclasses import dataclass

from governance import accounts
from governance.audit import Service
from governance.models import Role, Team, User

BOOTSTRAP = Service("bootstrap")
DOMAIN = "harbour-vale.example"


@dataclass(frozen=True)
class Person:
    """Somebody of the demo: sign-in name, display name, role, what he comes to do, and what a visitor tries as him."""

    login: str
    name: str
    role: str
    purpose: str
    first: str

    @property
    def email(self) -> str:
        """The address he signs in with."""
        return f"{self.login}@{DOMAIN}"


PEOPLE = (
    Person(
        "lead", "Governance lead", "lead", "writes policies, proposes and approves changes",
        "Open Customer feedback and propose to keep answers from a lower confidence.",
    ),
    Person(
        "owner", "Workflow owner", "owner", "answers for the workflows, approves changes",
        "Approve what the governance lead proposed; nobody approves his own.",
    ),
    Person(
        "reviewer", "Reviewer", "reviewer", "decides the cases machines should not",
        "Take the next case, see why no model was sure, answer it with one key.",
    ),
    Person(
        "finance", "Finance", "finance", "sees what it cost and what was saved",
        "See what the last 90 days cost beside one large model, with the bounds of that claim.",
    ),
    Person(
        "integrator", "Integrator", "integrator", "connects applications",
        "Follow one request, then type a sentence of your own.",
    ),
    Person(
        "auditor", "Auditor", "auditor", "reads everything, changes nothing",
        "Read who decided what, when and why, from the first policy on.",
    ),
    Person(
        "admin", "Administrator", "admin", "manages people",
        "See which API keys are out, and who answers for which workflow.",
    ),
)  # fmt: skip
TEAMS = (("Customer care", "customer-care"), ("Platform", "platform"))
# Roles that are held in each team; the others reach the whole organisation.
OF_TEAMS = (Role.OWNER, Role.REVIEWER, Role.INTEGRATOR)


def of_demo(login: str) -> User:
    """The row of one of them. Raises User.DoesNotExist before they were made, StopIteration for nobody of the demo."""
    return User.objects.get(email=next(each.email for each in PEOPLE if each.login == login))


def make(password: str) -> None:
    """Make the people and teams that are missing, with their grants."""
    teams = [
        Team.objects.filter(slug=slug).first() or accounts.create_team(name=name, slug=slug, by=BOOTSTRAP)
        for name, slug in TEAMS
    ]
    for each in PEOPLE:
        if User.objects.filter(email=each.email).exists():
            continue
        person = accounts.create_person(
            email=each.email, name=each.name, time_zone="Europe/Berlin", password=password, by=BOOTSTRAP
        )
        for team in teams if each.role in OF_TEAMS else [None]:
            accounts.grant(user=person, role=each.role, team=team, by=BOOTSTRAP)
