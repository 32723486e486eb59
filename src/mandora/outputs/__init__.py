"""Results on disk: tables, records, overlays and reports."""
