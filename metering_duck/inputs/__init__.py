"""Any input as the one relation `fields`: what it is, where its bytes lie, what its columns are called."""
