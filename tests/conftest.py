"""Hypothesis has a deadline for each example, by the wall clock: on a busy machine that says nothing, and every test has a time limit."""

from hypothesis import settings

settings.register_profile("edera-falcod", deadline=None)
settings.load_profile("edera-falcod")
