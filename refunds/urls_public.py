"""Where channels notify about refunds."""

from django.urls import path

from refunds import views

urlpatterns = [
    path("notify/<slug:method>/refund/<slug:refund_no>", views.refund_notify, name="refund_notify"),
]
