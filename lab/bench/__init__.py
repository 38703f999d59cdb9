"""`make bench-mesh`: what the mesh costs and how fast it heals, measured in the lab that is up."""
