"""One file for each service, and the catalog that says which component makes which service."""
