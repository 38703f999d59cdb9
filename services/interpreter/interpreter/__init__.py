"""The code interpreter: runs Python and bash for callers that are trusted, written by models that are not."""
