"""What README.md and docs/ are made of: tables and pictures from code and results."""
