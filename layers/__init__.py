"""What models.py and metrics.py are made of: passes written out by hand, encoder, attention."""
