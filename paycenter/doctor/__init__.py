"""Examines an installation and says what to do about what is wrong. Changes nothing, prints no secret, and works
with parts of the installation down: that is when it is needed."""
