"""The agents of the platform: an OpenAI-compatible API, model routing, agent runs and retrieval."""
