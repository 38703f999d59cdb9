"""What workers may use, through the addresses of the mesh."""
