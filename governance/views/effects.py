"""What a change of a standard does to each workflow, as a part of the change's page."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from governance import inheritance
from governance.models import Change

# So many are shown at first; the others stand folded.
FIRST = 12


@require_GET
def change_effects(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Whom it holds, what is new for each, who is excepted, and who could not serve."""
    of_standards = Change.objects.visible_to(request.user).filter(kind=Change.Kind.STANDARD)
    found = get_object_or_404(of_standards.for_list(), pk=pk)
    told = inheritance.effects(found, found.revision.leads_to.document) if found.state in Change.OPEN else []
    order = sorted(told, key=lambda each: (not each.problems, not each.touched, each.workflow.name))
    context = {
        "change": found,
        "first": order[:FIRST],
        "others": order[FIRST:],
        "touched": sum(each.touched for each in told),
        "excepted": sum(bool(each.excepted) for each in told),
        "broken": sum(bool(each.problems) for each in told),
        "all": len(told),
    }
    return render(request, "governance/_effects.html", context)
