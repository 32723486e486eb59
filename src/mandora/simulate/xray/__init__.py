"""From bones to a radiograph."""
