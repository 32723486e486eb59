"""Stage 2: what each joint has lost."""
