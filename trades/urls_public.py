"""Addresses for channels and returning payers."""

from django.urls import include, path

from trades import views

_notify = [
    path("<slug:method>/<slug:attempt_no>", views.notify, name="notify"),
    path("<slug:method>/contract/<slug:contract_no>", views.contract_notify, name="contract_notify"),
]
_return = [
    path("<slug:method>/contract/<slug:contract_no>", views.contract_return, name="contract_return"),
    path("<slug:method>/<slug:attempt_no>", views.payer_return, name="return"),
]
urlpatterns = [path("notify/", include(_notify)), path("return/", include(_return))]
