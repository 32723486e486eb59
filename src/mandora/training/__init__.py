"""Training of the three stages: localisers, damage networks, trees."""
