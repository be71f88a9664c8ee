"""Signing in and out."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpResponse
from django.utils import timezone

from governance import audit, brakes
from governance.models import User


class SignInForm(AuthenticationForm):
    """E-mail address and password; the error does not tell which of the two was wrong."""

    error_messages = {
        "invalid_login": "That e-mail address and password do not belong together.",
        "inactive": "This account may not sign in. Ask an administrator.",
    }
    braked: brakes.Braked | None = None

    def clean(self) -> dict[str, Any]:
        """Look at the password, unless too many before it did not fit."""
        account, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if not account or not password:
            return self.cleaned_data
        tried: dict[str, Any] = {"account": account, "address": audit.address(), "now": timezone.now()}
        try:
            brakes.admit(**tried)
        except brakes.Braked as braked:
            self.braked = braked
            raise forms.ValidationError(str(braked)) from braked
        try:
            fits: dict[str, Any] = super().clean()
        except forms.ValidationError:
            brakes.failed(**tried)
            raise
        brakes.succeeded(**tried)
        return fits


class SignIn(LoginView):
    """The door. On a demo it lists who there is to be."""

    template_name = "governance/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """The form with what is wrong; 429 and how long to wait where no password was looked at."""
        answer = super().form_invalid(form)
        if isinstance(form, SignInForm) and form.braked:
            answer.status_code = 429
            answer.headers["Retry-After"] = str(form.braked.seconds)
        return answer

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the demo's people where there is a demo."""
        context = super().get_context_data(**kwargs)
        if settings.DEMO:
            people = User.objects.filter(is_active=True).order_by("created_at", "id")
            context["demo_people"] = [
                {"name": each.name, "email": each.email, "purpose": DEMO_PURPOSES.get(each.email.split("@")[0], "")}
                for each in people[:12]
            ]
            context["demo_password_hint"] = "The password stands where ./run up printed it."  # noqa: S105 (says where, not what)
        return context


DEMO_PURPOSES = {
    "lead": "writes policies, proposes and approves",
    "owner": "answers for the workflow, approves changes",
    "reviewer": "decides the cases machines should not",
    "finance": "sees what it cost",
    "integrator": "connects applications",
    "auditor": "reads everything, changes nothing",
    "admin": "manages people",
}

sign_in = SignIn.as_view()
sign_out = LogoutView.as_view(http_method_names=["post"])
