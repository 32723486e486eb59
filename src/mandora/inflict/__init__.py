"""Damage of known grade put into real films of healthy joints."""
