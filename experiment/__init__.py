"""What a figure is made of: Run, Curve, Panel, Figure, Claim, and the words for measuring."""
