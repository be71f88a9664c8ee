"""Signing in and out."""

from typing import Any

from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView

from governance.models import User


class SignInForm(AuthenticationForm):
    """E-mail address and password; the error does not tell which of the two was wrong."""

    error_messages = {
        "invalid_login": "That e-mail address and password do not belong together.",
        "inactive": "This account may not sign in. Ask an administrator.",
    }


class SignIn(LoginView):
    """The door. On a demo it lists who there is to be."""

    template_name = "governance/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

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
