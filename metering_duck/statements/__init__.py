"""How SQL is spelled: quoting, SELECT statements, and named stages."""
