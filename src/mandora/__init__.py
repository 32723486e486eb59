"""Sharp/van der Heijde scores from radiographs of hands and feet, with evidence.

For research use only; not a medical device.
"""

__version__ = "0.1.0"
