"""The answer to a mistake of ours: a page that says by which number the log knows it, or the API's error with it."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseServerError
from django.template import loader
from django.views.decorators.csrf import requires_csrf_token

from config import api
from config.middleware import number_of


@requires_csrf_token
@login_not_required
def broken(request: HttpRequest) -> HttpResponse:
    """500, rendered without a request, a session or a database: any of them may be what broke."""
    number = number_of(request)
    if request.path.startswith("/api/"):
        return api.error(500, "internal_error", f"The mistake is ours and is in the log as {number}. Send it again.")
    return HttpResponseServerError(loader.render_to_string("500.html", {"number": number}))
