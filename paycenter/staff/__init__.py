"""The staff site: signing in, second factor, tenancy, landing page, and how lists and values look."""
