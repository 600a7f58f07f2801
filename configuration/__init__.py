"""What a run is, as data: RunConfig with its rules and flags, and the run folder on disk."""
