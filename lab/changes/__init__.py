"""What a change of one thing changes: counted in previews against the lab that is up."""
