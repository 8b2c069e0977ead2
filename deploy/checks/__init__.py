"""What `make test` runs: the checks in order, with databases of its own that end with it."""
