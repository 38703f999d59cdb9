"""The labelled prompts, and how the router's weights are made from them. No part of the image."""
