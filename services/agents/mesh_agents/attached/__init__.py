"""What comes with the words of a chat: pictures, recordings and files."""
