"""The half-open windows that usage is added up in: how they are cut, and tables of periods."""
