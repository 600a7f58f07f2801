"""What stands behind train.py: the live objects of a run, its losses, update rules and networks."""
