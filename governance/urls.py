"""Pages of governance."""

from django.urls import URLPattern, path

from governance.views import accounts, audit, changes, home, policies, workflows

urlpatterns = [
    path("", home.home, name="home"),
    path("sign-in/", accounts.sign_in, name="sign_in"),
    path("sign-out/", accounts.sign_out, name="sign_out"),
    path("workflows/", workflows.workflows, name="workflows"),
    path("workflows/<slug:slug>/", workflows.workflow, name="workflow"),
    path("workflows/<slug:slug>/policy/<int:number>/", policies.policy, name="policy"),
    path("workflows/<slug:slug>/change/", changes.change_new, name="change_new"),
    path("changes/", changes.change_list, name="changes"),
    path("changes/<uuid:pk>/", changes.change, name="change"),
    path("changes/<uuid:pk>/revise/", changes.change_revise, name="change_revise"),
    path("changes/<uuid:pk>/vote/", changes.change_vote, name="change_vote"),
    path("changes/<uuid:pk>/activate/", changes.change_activate, name="change_activate"),
    path("changes/<uuid:pk>/withdraw/", changes.change_withdraw, name="change_withdraw"),
    path("audit/", audit.audit, name="audit"),
    path("audit/export.csv", audit.audit_csv, name="audit_csv"),
]

api_urlpatterns: list[URLPattern] = []
