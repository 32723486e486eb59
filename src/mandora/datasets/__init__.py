"""Cohorts: which films belong to which patient, and the scores that readers gave them."""
