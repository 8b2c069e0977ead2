"""Foreign bytes, spoiled: every parser that discovery finds is given mutated samples, and may only answer or refuse.

`python -m tests.fuzz` runs them for as long as one likes, `test_fuzz.py` for seconds.
"""
