"""What datasets.py is made of: exact operations, permutations, images."""
