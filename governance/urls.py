"""Pages of governance, and what gateways fetch and report about reviews below /api/v1/."""

from django.urls import path

from governance import api
from governance.addresses import MODEL
from governance.views import (
    accounts,
    audit,
    changes,
    home,
    keys,
    model_acts,
    models,
    policies,
    reviews,
    workflow_acts,
    workflows,
)

urlpatterns = [
    path("", home.home, name="home"),
    path("sign-in/", accounts.sign_in, name="sign_in"),
    path("sign-out/", accounts.sign_out, name="sign_out"),
    path("workflows/", workflows.workflows, name="workflows"),
    path("workflows/export.csv", workflows.workflows_csv, name="workflows_csv"),
    path("workflows/new/", workflow_acts.workflow_new, name="workflow_new"),
    path("workflows/<slug:slug>/", workflows.workflow, name="workflow"),
    path("workflows/<slug:slug>/edit/", workflow_acts.workflow_edit, name="workflow_edit"),
    path("workflows/<slug:slug>/steps/", workflow_acts.step_add, name="step_add"),
    path("workflows/<slug:slug>/retire/", workflow_acts.workflow_retire, name="workflow_retire"),
    path("workflows/<slug:slug>/policy/<int:number>/", policies.policy, name="policy"),
    path("workflows/<slug:slug>/change/", changes.change_new, name="change_new"),
    path("changes/", changes.change_list, name="changes"),
    path("changes/export.csv", changes.changes_csv, name="changes_csv"),
    path("changes/<uuid:pk>/", changes.change, name="change"),
    path("changes/<uuid:pk>/revise/", changes.change_revise, name="change_revise"),
    path("changes/<uuid:pk>/vote/", changes.change_vote, name="change_vote"),
    path("changes/<uuid:pk>/activate/", changes.change_activate, name="change_activate"),
    path("changes/<uuid:pk>/ratify/", changes.change_ratify, name="change_ratify"),
    path("changes/<uuid:pk>/withdraw/", changes.change_withdraw, name="change_withdraw"),
    path("reviews/", reviews.review_list, name="reviews"),
    path("reviews/export.csv", reviews.reviews_csv, name="reviews_csv"),
    path("reviews/next/", reviews.review_next, name="review_next"),
    path("reviews/<uuid:pk>/", reviews.review, name="review"),
    path("reviews/<uuid:pk>/claim/", reviews.review_claim, name="review_claim"),
    path("reviews/<uuid:pk>/release/", reviews.review_release, name="review_release"),
    path("reviews/<uuid:pk>/answer/", reviews.review_answer, name="review_answer"),
    path("models/", models.models, name="models"),
    path("models/-/export.csv", models.models_csv, name="models_csv"),
    path("models/-/new/", model_acts.model_new, name="model_new"),
    path(f"models/{MODEL}/", models.model, name="model"),
    path(f"models/{MODEL}/-/edit/", model_acts.model_edit, name="model_edit"),
    path(f"models/{MODEL}/-/retire/", model_acts.model_retire, name="model_retire"),
    path(f"models/{MODEL}/-/version/", model_acts.version_new, name="version_new"),
    path(f"models/{MODEL}/-/endpoint/", model_acts.endpoint_new, name="endpoint_new"),
    path("endpoints/<uuid:pk>/try/", model_acts.endpoint_try, name="endpoint_try"),
    path("endpoints/<uuid:pk>/move/", model_acts.endpoint_move, name="endpoint_move"),
    path("endpoints/<uuid:pk>/close/", model_acts.endpoint_close, name="endpoint_close"),
    path("keys/", keys.keys, name="keys"),
    path("keys/export.csv", keys.keys_csv, name="keys_csv"),
    path("keys/new/", keys.key_new, name="key_new"),
    path("keys/<uuid:pk>/revoke/", keys.key_revoke, name="key_revoke"),
    path("audit/", audit.audit, name="audit"),
    path("audit/export.csv", audit.audit_csv, name="audit_csv"),
]

api_urlpatterns = [
    path("reviews", api.ReviewsView.as_view(), name="api_reviews"),
    path("reviews/<uuid:pk>", api.ReviewView.as_view(), name="api_review"),
]
