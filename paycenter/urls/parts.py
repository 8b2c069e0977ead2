"""Groups of addresses, from which each entrance takes its own."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from cashier.api.orders import CashierOrders
from merchants.api.endpoint import unknown_path
from paycenter import views
from reconciliation.api.query_bill import QueryBill
from reconciliation.api.query_settle import QuerySettle
from refunds.api.query_refund import QueryRefund
from refunds.api.refund import RefundCall
from refunds.api.refund_cancel import RefundCancel
from trades.api.close import Close
from trades.api.contract_query import ContractQuery
from trades.api.contract_sign import ContractSign
from trades.api.contract_terminate import ContractTerminate
from trades.api.gopay import Gopay
from trades.api.query_trade import QueryTrade
from trades.api.sync_events import SyncEvents

Patterns = list[URLPattern | URLResolver]

# The outside contract: one line per call.
api: Patterns = [
    path("v1/gopay", Gopay.as_view()),
    path("v1/cashier/orders", CashierOrders.as_view()),
    path("v1/close", Close.as_view()),
    path("v1/query/trade", QueryTrade.as_view()),
    path("v1/refund", RefundCall.as_view()),
    path("v1/refund/cancel", RefundCancel.as_view()),
    path("v1/query/refund", QueryRefund.as_view()),
    path("v1/query/bill", QueryBill.as_view()),
    path("v1/query/settle", QuerySettle.as_view()),
    path("v1/contract/sign", ContractSign.as_view()),
    path("v1/contract/query", ContractQuery.as_view()),
    path("v1/contract/terminate", ContractTerminate.as_view()),
    path("v1/sync/events", SyncEvents.as_view()),
    re_path(r"^v1(?:/.*)?$", unknown_path),
]
docs: Patterns = [
    path("docs/openapi.json", SpectacularJSONAPIView.as_view(patterns=api), name="openapi"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="openapi"), name="docs"),
]
health: Patterns = [path("healthz", views.healthz), path("readyz", views.readyz)]
metrics: Patterns = [path("metrics", views.metrics)]
staff: Patterns = [path("admin/", admin.site.urls)]
# Asked most often, so looked for first: each by what its addresses begin with, which is one comparison.
payers_and_channels: Patterns = [
    path("", include("cashier.urls")),
    path("", include("trades.urls_public")),
    path("", include("refunds.urls_public")),
]

handler400 = "paycenter.views.bad_request"
handler404 = "paycenter.views.page_not_found"
handler500 = "paycenter.views.server_error"
