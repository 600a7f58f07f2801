"""What stands behind train.py, models.py and datasets.py: the live objects of a run."""
