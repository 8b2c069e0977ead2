"""The web process as it is served, with the measurements' constant channel beside the real ones."""

from bench.constant import install
from paycenter.wsgi import application as application

install()
