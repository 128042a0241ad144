"""What can go wrong in a scenario, and the assertions that scenarios use."""

import re


class Failure(AssertionError):
    """The scenario failed; the text is a complete sentence for the reader of the TAP output."""


class Broken(Exception):
    """The cluster itself is no longer usable: it is booted again before the next scenario."""


class Deadline(BaseException):
    """The scenario's time is up. Not an Exception, so that no scenario catches it by mistake."""


class Skip(Exception):
    """Raise Skip("why") when a scenario cannot run here."""


def check(condition, message):
    if not condition:
        raise Failure(message)


def equal(what, got, want):
    check(got == want, f"{what} is {got!r}, expected {want!r}")


def between(what, got, low, high):
    check(low <= got <= high, f"{what} is {got!r}, expected {low!r} to {high!r}")


def matches(what, text, pattern):
    check(re.search(pattern, text, re.M), f"{what} does not match {pattern!r}:\n{text}")
