"""Files and vector stores, as OpenAI's clients know them, on top of documents."""
