"""Stage 1: where the joints are."""
