"""Addresses of the public entrance that payers see."""

from django.urls import path

from cashier.views.authorisation import authorise
from cashier.views.codes import code
from cashier.views.going import go
from cashier.views.page import page
from cashier.views.pay import pay
from cashier.views.status import status
from cashier.views.theme import theme

app_name = "cashier"
urlpatterns = [
    path("c/theme/<slug:colour>.css", theme, name="theme"),
    path("c/<slug:token>", page, name="page"),
    path("c/<slug:token>/status", status, name="status"),
    path("c/<slug:token>/pay", pay, name="pay"),
    path("c/<slug:token>/go", go, name="go"),
    path("c/<slug:token>/auth/<slug:channel>", authorise, name="auth"),
    path("q/<slug:code>", code, name="code"),
]
