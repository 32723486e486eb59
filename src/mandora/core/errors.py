"""Errors of the input, as opposed to faults of this program."""

from __future__ import annotations


class InputError(ValueError):
    """An input cannot be used; the message names it, the fault and the remedy.

    A command shows the message as one line. Any other ``ValueError`` is a fault of this program
    and is shown with its traceback.
    """


class WrongLimb(InputError):
    """A film that shows a foot where it is given as a hand, or the reverse."""


class UntrainedLimb(InputError):
    """A film shows a limb that the model was not trained on."""
