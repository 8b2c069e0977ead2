"""`make demo`: the whole center on one machine under one supervisor, seeded, with one payment taken.

`__main__` reads the surroundings (`layout`), claims the data directory (`claim`), picks a broker
(`broker`) and runs the programs (`programs`, `children`) until it is told to stop (`supervisor`).
What needs Django or talks to the running center happens in programs of its own: `prepare` (migrate,
seed) and `payment` (the first payment), so that a signal ends those like everything else.
"""
