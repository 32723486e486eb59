"""Whose film is it, which limb does it show, and from which visit: found before a film is read."""
