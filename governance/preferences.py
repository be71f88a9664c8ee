"""Preferences: what a person is told by e-mail, and when. What waits on him stands on home, whatever he chose."""

from collections.abc import Mapping

from django.db import transaction

from governance import audit
from governance.accounts import NotPermitted
from governance.errors import InvalidInput, store
from governance.models import NotificationKind, Preference, User

# What is about a webhook's test goes to that webhook alone.
CHOSEN = [kind for kind in NotificationKind if kind != NotificationKind.TEST]


@transaction.atomic
def choose(*, person: User, choices: Mapping[str, str], by: User) -> None:
    """Let a person be told each of these kinds at once, once a day or never; others stay.

    The same again writes nothing. Raises NotPermitted for anybody else, and InvalidInput for an unknown kind or time.
    """
    if by != person:
        raise NotPermitted("Everybody chooses for himself what he is told.")
    for kind, how in choices.items():
        if kind not in CHOSEN or how not in Preference.How.values:
            raise InvalidInput(f"{kind}: choose one of {', '.join(Preference.How.values)}", field=kind)
    # Two forms that are sent at once come one after the other.
    User.objects.select_for_update(no_key=True).get(pk=person.pk)
    held = {each.kind: each for each in Preference.objects.filter(person=person)}
    before = {kind: held[kind].how if kind in held else str(Preference.How.AT_ONCE) for kind in choices}
    changed = {kind: how for kind, how in choices.items() if how != before[kind]}
    if not changed:
        return
    for kind, how in changed.items():
        row = held.get(kind) or Preference(person=person, kind=kind)
        row.how = how
        store(row)
    audit.record(
        action="preferences.choose",
        actor=by,
        object=person,
        summary=f"{person.name} chose what is told by e-mail",
        before={kind: before[kind] for kind in changed},
        after=changed,
    )
