"""RAM-H1200 and RAM-W600: hands and wrists whose joints come as pictures."""
