"""Simulated patients, their follow-up and their readers, as a folder of films and tables."""
