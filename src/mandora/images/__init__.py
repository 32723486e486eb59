"""Radiographs: read from any format, judged, and brought to the form that networks see."""
