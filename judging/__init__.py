"""Claims held against run folders: verdicts and tables."""
