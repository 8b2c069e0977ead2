"""Addresses for channels and returning payers."""

from django.urls import path

from trades import views

urlpatterns = [
    path("notify/<slug:method>/<slug:attempt_no>", views.notify, name="notify"),
    path("return/<slug:method>/<slug:attempt_no>", views.payer_return, name="return"),
]
