"""What README.md, docs/, notebooks and report are made of, and published runs computed again."""
