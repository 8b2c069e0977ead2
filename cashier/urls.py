"""Addresses of the public entrance that payers see."""

from django.urls import include, path

from cashier.views.authorisation import authorise
from cashier.views.codes import code
from cashier.views.going import go
from cashier.views.page import page
from cashier.views.pay import pay
from cashier.views.status import status
from cashier.views.theme import theme

app_name = "cashier"
_pages = [
    path("<slug:token>/status", status, name="status"),  # polled by every open page
    path("<slug:token>", page, name="page"),
    path("theme/<slug:colour>.css", theme, name="theme"),
    path("<slug:token>/pay", pay, name="pay"),
    path("<slug:token>/go", go, name="go"),
    path("<slug:token>/auth/<slug:channel>", authorise, name="auth"),
]
urlpatterns = [path("c/", include(_pages)), path("q/<slug:code>", code, name="code")]
