"""What stands behind plots.py: which runs a curve shows, the axes, each kind of panel."""
