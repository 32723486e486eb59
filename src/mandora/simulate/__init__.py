"""Simulated radiographs of hands and feet with known joints, joint spaces and damage."""
