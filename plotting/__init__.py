"""Which runs a curve shows, the axes, and each kind of panel."""
