"""What each kind of change affects, counted in previews against the running lab."""
