"""Addresses for channels and returning payers."""

from django.urls import path

from trades import views

urlpatterns = [
    path("notify/<slug:method>/<slug:attempt_no>", views.notify, name="notify"),
    path("notify/<slug:method>/contract/<slug:contract_no>", views.contract_notify, name="contract_notify"),
    path("return/<slug:method>/contract/<slug:contract_no>", views.contract_return, name="contract_return"),
    path("return/<slug:method>/<slug:attempt_no>", views.payer_return, name="return"),
]
