"""Formats that labelled films come in."""
