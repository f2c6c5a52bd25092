"""files: bytes of files: how they end, what their checksums say, and how many rows they have; no engine reads here."""
