"""A run: what is opened, in which order its queries run, and the books that it keeps."""
