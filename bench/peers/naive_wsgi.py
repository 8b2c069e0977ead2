"""Serves `bench.peers.naive`; as a program it makes its tables."""

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

if __name__ == "__main__":
    from bench.peers.naive import make_tables

    make_tables()
