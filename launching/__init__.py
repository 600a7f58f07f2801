"""What stands behind launch.py: runs that are due, their processes, what a person sees."""
