"""What is raised when the fault lies with what was given, not with this program."""

from __future__ import annotations


class InputError(ValueError):
    """What was given cannot be used; the message names it, what is wrong and what to do.

    A command shows the message as one line. Any other ``ValueError`` is a fault of this program
    and is shown with its traceback.
    """


class UntrainedLimb(InputError):
    """A film of a limb of which the model has seen none in training."""
