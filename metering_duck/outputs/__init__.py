"""Rows as files, workbooks, trees of partitions and tables of lakes."""
