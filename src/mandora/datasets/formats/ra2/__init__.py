"""RA2: its tables of scores, and folders in its layout."""
