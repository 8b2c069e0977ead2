"""nginx in front of the web hosts: the configuration, and the watch that takes hosts in and out."""
