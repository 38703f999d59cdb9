"""Pure functions from the graph and the settings to the text of a configuration file."""
