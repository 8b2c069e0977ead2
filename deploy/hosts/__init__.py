"""Many hosts, really run on one machine: several web hosts behind nginx, workers, beats, a replica that streams."""
