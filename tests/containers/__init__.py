"""A drawn film in every container and with every flag that says what its pixels mean.

The writers are of our own where no library writes such files.
"""
