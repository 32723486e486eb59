"""Bones and joints of a simulated patient, and the damage in them."""
