"""What stands behind claims.py: verdicts on claims, and tables of what was measured."""
