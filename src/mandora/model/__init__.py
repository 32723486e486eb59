"""A trained model: its bundle, what it takes and gives, its loaded stages."""
