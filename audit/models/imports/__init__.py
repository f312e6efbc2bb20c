"""What is known of imports beside their records.

places    how far files were imported
mappings  the right to look at mappings, and to try one
"""
