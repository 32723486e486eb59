"""What everything may import."""
