"""Pages of routing, and what it offers below /api/v1/."""

from django.urls import path

from routing import api
from routing.views import (
    evaluations,
    follow,
    instances,
    parts,
    requests,
    runs,
    sample_sets,
    simulations,
    trials,
    troubles,
)

urlpatterns = [
    path("evaluations/", evaluations.evaluation_list, name="evaluations"),
    path("evaluations/export.csv", evaluations.evaluations_csv, name="evaluations_csv"),
    path("sample-sets/", sample_sets.sample_sets, name="sample_sets"),
    path("sample-sets/export.csv", sample_sets.sample_sets_csv, name="sample_sets_csv"),
    path("sample-sets/new/", sample_sets.sample_set_new, name="sample_set_new"),
    path("sample-sets/<uuid:pk>/", sample_sets.sample_set, name="sample_set"),
    path("sample-sets/<uuid:pk>/clusters/", sample_sets.sample_set_clusters, name="sample_set_clusters"),
    path("sample-sets/<uuid:pk>/evaluate/", sample_sets.sample_set_evaluate, name="sample_set_evaluate"),
    path("sample-sets/<uuid:pk>/schedule/", sample_sets.sample_set_schedule, name="sample_set_schedule"),
    path("sample-sets/<uuid:pk>/erase/", sample_sets.sample_set_erase, name="sample_set_erase"),
    path("sample-sets/<uuid:pk>/texts.csv", sample_sets.sample_set_texts, name="sample_set_texts"),
    path("sample-sets/samples/<uuid:pk>/reveal/", sample_sets.sample_reveal, name="sample_reveal"),
    path("evaluations/schedules/<uuid:pk>/end/", sample_sets.schedule_end, name="evaluation_schedule_end"),
    path("evaluations/of/<slug:slug>/", parts.evaluation_part, name="evaluation_part"),
    path("evaluations/observed/<slug:slug>/", parts.observed_part, name="observed_part"),
    path("evaluations/of-change/<uuid:pk>/", parts.change_evaluated, name="change_evaluated"),
    path("simulations/of-change/<uuid:pk>/", simulations.change_simulated, name="change_simulated"),
    path("simulations/of-change/<uuid:pk>/begin/", simulations.change_simulate, name="change_simulate"),
    path("simulations/", simulations.simulation_list, name="simulations"),
    path("simulations/export.csv", simulations.simulations_csv, name="simulations_csv"),
    path("simulations/new/<slug:slug>/", simulations.simulation_new, name="simulation_new"),
    path("simulations/<uuid:pk>/", simulations.simulation, name="simulation"),
    path("simulations/<uuid:pk>/progress/", simulations.simulation_progress, name="simulation_progress"),
    path("simulations/<uuid:pk>/cancel/", simulations.simulation_cancel, name="simulation_cancel"),
    path("evaluations/<uuid:pk>/", evaluations.evaluation, name="evaluation"),
    path("evaluations/<uuid:pk>/progress/", evaluations.evaluation_progress, name="evaluation_progress"),
    path("evaluations/<uuid:pk>/live/", evaluations.evaluation_live, name="evaluation_live"),
    path("evaluations/<uuid:pk>/results.csv", evaluations.evaluation_results_csv, name="evaluation_results_csv"),
    path("evaluations/<uuid:pk>/cancel/", evaluations.evaluation_cancel, name="evaluation_cancel"),
    path("evaluations/<uuid:pk>/again/", evaluations.evaluation_again, name="evaluation_again"),
    path("gateways/instances/", instances.instances, name="instances"),
    path("gateways/instances/export.csv", instances.instances_csv, name="instances_csv"),
    path("follow/", follow.follow, name="follow"),
    path("trials/", trials.trial, name="trial"),
    path("trials/<str:ticket>/", trials.trial_answer, name="trial_answer"),
    path("requests/", requests.requests, name="requests"),
    path("requests/export.csv", requests.requests_csv, name="requests_csv"),
    path("requests/troubles/", troubles.troubles, name="troubles"),
    path("requests/<uuid:pk>/", requests.request, name="request"),
    path("requests/<uuid:pk>/ladder/", requests.request_ladder, name="request_ladder"),
    path("runs/", runs.runs, name="runs"),
    path("runs/export.csv", runs.runs_csv, name="runs_csv"),
    path("runs/<slug:slug>/<path:name>/", runs.run, name="run"),
]

api_urlpatterns = [
    path("bundle", api.BundleView.as_view(), name="api_bundle"),
    path("state", api.StateView.as_view(), name="api_state"),
]
