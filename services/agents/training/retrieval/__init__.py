"""Questions on a corpus that a Debian package ships, and how well the service's search answers them."""
