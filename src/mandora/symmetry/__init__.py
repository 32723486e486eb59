"""From the 86 patch scores of a patient to 86 scores that know of each other.

Damage in rheumatoid arthritis is symmetric, and the joints of one patient tend to be damaged
together. One forest per site learns how much: :mod:`~mandora.symmetry.features` lays the
scores out as the forests see them, :mod:`~mandora.symmetry.forest` predicts with NumPy alone.
Training is in :mod:`mandora.training.symmetry`.
"""
