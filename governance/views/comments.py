"""Comments on a change's page: write one, settle one."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from governance import accounts, changes, comments
from governance.errors import InvalidInput
from governance.models import Change, Comment


class CommentForm(forms.Form):
    """What one says, and of which place; the digest says of which content."""

    digest = forms.CharField(max_length=64, widget=forms.HiddenInput)
    path = forms.ChoiceField(label="Of which place", required=False)
    text = forms.CharField(label="Comment", max_length=2000, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, data: Any = None, *, change: Change) -> None:
        """Offer the places of the document as it is."""
        super().__init__(data, initial={"digest": change.revision.payload_digest}, prefix="comment")
        found = comments.places(change.revision.leads_to.document)
        self.fields["path"] = forms.ChoiceField(
            label="Of which place", required=False, choices=[("", "The whole"), *((each, each) for each in found)]
        )
        self.order_fields(("digest", "path", "text"))


@require_POST
def change_comment(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Comment on a place in a change's document."""
    found = get_object_or_404(Change.objects.visible_to(request.user).for_list(), pk=pk)
    user = accounts.signed_in(request.user)
    accounts.require(user, "comments.add", found)
    form = CommentForm(request.POST, change=found)
    if not form.is_valid():
        messages.error(request, "Say something, of a place that the document has.")
        return redirect("change", pk=pk)
    try:
        comments.add(change=found, by=user, **form.cleaned_data)
    except (changes.ChangeError, InvalidInput) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "Your comment stands with the change.")
    return redirect("change", pk=pk)


@require_POST
def comment_resolve(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Settle a comment."""
    user = accounts.signed_in(request.user)
    visible = Change.objects.visible_to(user)
    found = get_object_or_404(Comment.objects.filter(change__in=visible).select_related("change"), pk=pk)
    try:
        comments.resolve(comment=found, by=user)
    except changes.ChangeError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "The comment is resolved.")
    return redirect("change", pk=found.change_id)
